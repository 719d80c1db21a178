//! A directory as a page for people.

use jiff::Timestamp;
use kstashfs::browse::{Browser, Entry, Kind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::cli::output::{size, time};

/// What stands for itself in a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A name as a part of an address.
pub fn encoded(name: &str) -> String {
    utf8_percent_encode(name, PLAIN).to_string()
}

/// Text as HTML and XML write it.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// The page of a directory.
pub fn page(path: &[&str], entries: &[Entry]) -> String {
    let title = escaped(&format!("/{}", path.iter().map(|name| format!("{name}/")).collect::<String>()));
    let mut rows = String::new();
    if !path.is_empty() {
        rows.push_str("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    }
    for entry in entries {
        let (slash, bytes) = match &entry.kind {
            Kind::File(bytes) => ("", size(*bytes)),
            Kind::Directory | Kind::Link(_) => ("/", String::new()),
        };
        let changed = Timestamp::from_second(i64::try_from(Browser::seconds(entry.modified)).unwrap_or_default()).map(time).unwrap_or_default();
        // `./`: a name with a colon would else look like an address of its own.
        let (href, name) = (encoded(&entry.name), escaped(&entry.name));
        rows.push_str(&format!("<tr><td><a href=\"./{href}{slash}\">{name}{slash}</a></td><td>{bytes}</td><td>{changed}</td></tr>\n"));
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>body{{font-family:monospace}}td{{padding:0 2em 0 0}}</style></head>\n<body><h1>{title}</h1>\n<table>\n{rows}</table></body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn names_are_never_markup_or_addresses() {
        let entry = |name: &str, kind| Entry { name: name.into(), inode: 1, kind, mode: 0, modified: SystemTime::UNIX_EPOCH };
        let entries = [
            entry("<b>&\"'.yaml", Kind::File(3)),
            entry("javascript:alert(1)", Kind::Directory),
            entry("system:node.yaml", Kind::File(2048)),
            entry("größe", Kind::Link("x".into())),
        ];
        let page = page(&["a<b"], &entries);
        for wanted in [
            "<title>/a&lt;b/</title>",
            "<a href=\"./%3Cb%3E%26%22%27.yaml\">&lt;b&gt;&amp;&quot;&#39;.yaml</a></td><td>3 B</td><td>1970-01-01 00:00:00</td>",
            "<a href=\"./javascript%3Aalert%281%29/\">javascript:alert(1)/</a>",
            "<a href=\"./system%3Anode.yaml\">system:node.yaml</a></td><td>2.0 KiB</td>",
            "<a href=\"./gr%C3%B6%C3%9Fe/\">größe/</a>",
            "<a href=\"../\">../</a>",
        ] {
            assert!(page.contains(wanted), "{wanted}\n{page}");
        }
        assert!(!self::page(&[], &[]).contains("../"));
    }
}
