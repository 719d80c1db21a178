use proptest::strategy::Strategy as _;
use serde_json::{Value, json};

use super::*;

fn data() -> Value {
    json!({
        "Name": "run-1", "Namespace": "demo",
        "Invoker": {"APIGroup": "core.kubestash.com", "Kind": "BackupConfiguration", "Name": "bc"},
        "Target": {"APIGroup": "", "Kind": "", "Name": "na", "Namespace": ""},
        "Status": {"Phase": "Failed", "Duration": "1m5s", "Error": "no \"bucket\" <b>"},
    })
}

#[test]
fn what_is_written_becomes() {
    for (template, wanted) in [
        ("plain { text }", "plain { text }"),
        ("", ""),
        ("{{ .Name }}", "run-1"),
        ("{{.Namespace}}/{{.Invoker.Name}}", "demo/bc"),
        ("{{ $.Status.Phase }}", "Failed"),
        ("a  {{- .Name -}}  b", "arun-1b"),
        ("a  {{ .Name -}} \n b", "a  run-1b"),
        ("a{{/* no */}}b", "ab"),
        ("a {{- /* no */ -}} b", "ab"),
        ("{{ if .Status.Error }}bad{{ else }}good{{ end }}", "bad"),
        ("{{ if not .Status.Error }}bad{{ end }}", ""),
        ("{{ if eq .Status.Phase \"Succeeded\" }}ok{{ else if eq .Status.Phase \"Failed\" }}no{{ else }}?{{ end }}", "no"),
        ("{{ if and (eq .Status.Phase `Failed`) (ne .Name \"x\") }}1{{ end }}", "1"),
        ("{{ if or (eq .Status.Phase \"x\") (eq .Name \"run-1\") }}1{{ end }}", "1"),
        ("{{ eq .Name \"a\" \"run-1\" }}", "true"),
        ("{{ and .Name .Target.Kind \"z\" }}|{{ or .Target.Kind .Name }}", "|run-1"),
        (
            "{{ printf \"%s/%s: %q %5d|%-5d|%05d %.2f %v %t %%\" .Namespace .Name \"a\\\"b\" 42 42 -42 1.5 true false }}",
            "demo/run-1: \"a\\\"b\"    42|42   |-0042 1.50 true false %",
        ),
        ("{{ printf \"%.3s\" .Name | upper }}", "RUN"),
        ("{{ .Name | printf \"%s-%s\" \"x\" | quote }}", "\"x-run-1\""),
        ("{{ dict \"b\" 1 \"a\" (list 1 \"<x>\") | toJson }}", r#"{"a":[1,"\u003cx\u003e"],"b":1}"#),
        ("{{ toJson .Status.Error }}", r#""no \"bucket\" \u003cb\u003e""#),
        ("{{ dict \"a\" 1 }} {{ list 1 \"x\" }} {{ (dict \"a\" (dict \"b\" 7)).a.b }} {{ (dict).x }}", "map[a:1] [1 x] 7 <no value>"),
        ("{{ $d := dict \"a\" \"x\" }}{{ $d.a }}{{ index $d \"a\" }}{{ index (list 5 6) 1 }}", "xx6"),
        ("{{ .Target.Kind | default \"nothing\" }} {{ default \"x\" .Name }}", "nothing run-1"),
        ("{{ lower .Status.Phase }} {{ trim \"  a \" }} {{ squote .Name }} {{ replace \"-\" \"_\" .Name }}", "failed a 'run-1' run_1"),
        ("{{ ternary \"y\" \"n\" (hasPrefix \"run\" .Name) }}{{ contains \"un\" .Name }}{{ hasSuffix \"x\" .Name }}", "ytruefalse"),
        (
            "{{ len .Name }} {{ gt (len .Name) 3 }} {{ le 1 1 }} {{ lt \"b\" \"a\" }} {{ coalesce \"\" nil \"c\" }} {{ empty \"\" }}",
            "5 true true false c true",
        ),
        ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}", "21"),
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"),
        ("{{ if $x := .Status.Error }}{{ len $x }}{{ end }}", "15"),
        ("{{ \"}}\" }}{{ `{{ \"x\" }}` }}", "}}{{ \"x\" }}"),
        ("{{ print \"\\u00e9\\n\" 1 nil }}", "\u{e9}\n1<no value>"),
        ("{{.Name|upper}}", "RUN-1"),
    ] {
        assert_eq!(render(template, &data()).as_deref(), Ok(wanted), "{template}");
    }
}

#[test]
fn messages_of_kubestashs_guides() {
    // Shaped as the notifications in its documentation: a variable is declared, changed in a choice, and shown as JSON.
    let template = r#"{{$msg := dict "type" "mrkdwn" "text" "-"}}{{if eq .Status.Phase "Succeeded"}}{{- $msg = dict  "type" "mrkdwn" "text" (printf "Done: %s/%s" .Namespace .Target.Name) -}}{{else}}{{- $msg = dict  "type" "mrkdwn" "text" (printf "Not done: %s/%s: %s." .Namespace .Target.Name .Status.Error) -}}{{end}}
  {
    "blocks": [{"type": "section", "text": {{ toJson $msg }}}]
  }
"#;
    let body: Value = serde_json::from_str(&render(template, &data()).unwrap()).unwrap();
    assert_eq!(body, json!({"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "Not done: demo/na: no \"bucket\" <b>."}}]}));
}

#[test]
fn what_is_wrong_is_said() {
    for (template, said) in [
        ("a\n{{ .Nmae }}", "line 2 of the template: the field .Nmae does not exist; there are .Invoker, .Name"),
        ("{{ .Status.Foo }}", "the field .Status.Foo does not exist; there are .Duration, .Error, .Phase"),
        ("{{ .Name.First }}", "the field .Name.First does not exist; it has no fields"),
        ("{{ now }}", "the function now is not known; there are and, coalesce"),
        ("{{ env \"HOME\" }}", "the function env is not known"),
        ("{{ .Name", "not closed"),
        ("{{ \"a }}", "not closed"),
        ("{{ /* }}", "a comment is not closed"),
        ("{{ if .Name }}x", "has no {{ end }}"),
        ("x{{ end }}", "without an {{ if }}"),
        ("{{ else }}", "without an {{ if }}"),
        ("{{ if .Name }}{{ else }}{{ else }}{{ end }}", "a second {{ else }}"),
        ("{{ range .Name }}{{ end }}", "range is not supported"),
        ("{{ }}", "a value is missing"),
        ("{{ if }}{{ end }}", "a value is missing"),
        ("{{ .Name | }}", "a value is missing"),
        ("{{ .Name .Name }}", "only a function takes values"),
        ("{{ .Name | .Name }}", "behind | stands a function"),
        ("{{ (.Name }}", "a ( without its )"),
        ("{{ .Name) }}", "a ) without its ("),
        ("{{ $x }}", "the variable $x is not there"),
        ("{{ $x = 1 }}", "write $x := first"),
        ("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", "the variable $x is not there"),
        ("{{ eq .Name 1 }}", "a text cannot be compared with a number"),
        ("{{ eq .Name }}", "eq needs more values"),
        ("{{ upper 1 }}", "upper takes texts, and got a number"),
        ("{{ upper \"a\" \"b\" }}", "too many values"),
        ("{{ printf \"%s\" }}", "more verbs than values"),
        ("{{ printf \"x\" 1 }}", "fewer verbs than values"),
        ("{{ printf \"%d\" \"1\" }}", "%d cannot show"),
        ("{{ printf \"%y\" 1 }}", "does not know %y"),
        ("{{ printf \"%99999999999999999999d\" 1 }}", "no width above"),
        ("{{ printf \"%\" }}", "ends within a verb"),
        ("{{ ! }}", "is not expected here"),
        ("{{ 1x }}", "is no number"),
        ("{{ \"\\q\" }}", "is no escape"),
        ("{{ 1 := 2 }}", "one variable"),
        ("{{ index (list 1) 3 }}", "none at 3"),
    ] {
        let error = render(template, &data()).unwrap_err().to_string();
        assert!(error.contains(said), "{template}: {error}");
    }
}

#[test]
fn hostile_templates_end() {
    let deep = format!("{}1{}", "{{ ".to_owned() + &"(".repeat(5001), ")".repeat(5001) + " }}");
    assert!(render(&deep, &data()).unwrap_err().to_string().contains("parentheses"));
    let blocks = "{{ if true }}".repeat(5000) + &"{{ end }}".repeat(5000);
    assert!(render(&blocks, &data()).unwrap_err().to_string().contains("blocks"));
    let chain = format!("{{{{ if .Name }}}}{}{{{{ end }}}}", "{{ else if .Name }}x".repeat(5000));
    assert!(render(&chain, &data()).unwrap_err().to_string().contains("blocks"));
    let grows = "{{ $x := \"aaaaaaaaaaaaaaaa\" }}".to_owned() + &"{{ $x = print $x $x }}".repeat(40);
    assert!(render(&grows, &data()).is_err());
    let lists = "{{ $x := list }}".to_owned() + &"{{ $x = list $x }}".repeat(5000);
    assert!(render(&lists, &data()).unwrap_err().to_string().contains("makes too much"));
    let replaced = "{{ $x := \"aaaaaaaaaaaaaaaa\" }}".to_owned() + &"{{ $x = replace \"a\" $x $x }}".repeat(40);
    assert!(render(&replaced, &data()).is_err());
    assert!(render(&"x".repeat(MAX_TEMPLATE + 1), &data()).is_err());
}

proptest::proptest! {
    #[test]
    fn whatever_is_written_is_rendered_or_refused(
        words in proptest::collection::vec(
            proptest::prop_oneof![
                proptest::sample::select(vec![
                    "{{", "}}", "{{-", "-}}", " ", "if ", "else", "end", ".Name", ".Status", "$x", ":=", "=", "|", "(", ")", "\"", "`", "/*", "*/", "printf",
                    "\"%s%5d\"", "dict", "list", "1", "-2.5", "toJson", "eq", "and", "\\", "\n", "é", "nil",
                ]).prop_map(str::to_owned),
                "\\PC{0,3}",
            ],
            0..40,
        )
    ) {
        let text = words.concat();
        if let Err(error) = render(&text, &data()) {
            proptest::prop_assert!(error.line >= 1 && !error.reason.is_empty());
        }
    }
}
