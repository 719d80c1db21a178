//! `kubectl kubestash serve`: what a mount shows, over HTTP and WebDAV, to programs that know HTTP and WebDAV.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::MetadataExt as _,
    process::{Child, Stdio},
};

use kubestash_tests::{
    damage::damaged_pack,
    mounts::{Place, script, sh},
    program::User,
    sample::{PASSWORD, Sample, Shape},
};

/// A server; it ends with the test.
struct Served {
    child: Child,
    /// Without the slash at its end.
    url: String,
    user: User,
}

impl Served {
    fn start(user: User, args: &[&str]) -> Self {
        let mut command = user.command(&[&["serve"], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().trim_end_matches('/').to_owned();
        assert!(url.starts_with("http://"), "{line:?}");
        Self { child, url, user }
    }

    /// Runs a script in the user's home; URL stands for the address.
    fn sh(&self, words: &str) -> String {
        sh(self.user.home(), &words.replace("URL", &self.url))
    }

    /// Ends it, and gives what it said.
    fn end(mut self) -> String {
        // SAFETY: a plain system call; the process is one that this test started.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        said
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ANY: &[&str] = &["--listen", "127.0.0.1:0"];
/// Status, then the body.
const STATUS: &str = "curl -s -o /dev/null -w '%{http_code} %{size_download}'";

#[tokio::test(flavor = "multi_thread")]
async fn every_file_is_that_of_the_mount() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let (user, place) = (sample.user(PASSWORD), Place::new());
    user.ok(&["mount", place.text()]);
    let served = Served::start(user, ANY);
    // All of them by their addresses, which are found by following the pages as a browser does.
    let crawl = "
        import html.parser, os, sys, urllib.parse, urllib.request
        base, out = sys.argv[1] + '/', sys.argv[2]
        class Links(html.parser.HTMLParser):
            def handle_starttag(self, tag, attrs):
                if tag == 'a' and dict(attrs)['href'] != '../': self.links.append(dict(attrs)['href'])
        def walk(url, folder):
            os.makedirs(folder)
            page = Links(); page.links = []
            page.feed(urllib.request.urlopen(url).read().decode())
            for link in page.links:
                there = urllib.parse.urljoin(url, link)
                name = urllib.parse.unquote(link.removeprefix('./'))
                if link.endswith('/'): walk(there, os.path.join(folder, name.rstrip('/')))
                else: open(os.path.join(folder, name), 'wb').write(urllib.request.urlopen(there).read())
        walk(base, out)";
    let crawl: String = crawl.lines().map(|line| format!("{}\n", line.strip_prefix("        ").unwrap_or(line))).collect();
    std::fs::write(served.user.home().join("crawl.py"), crawl).unwrap();
    served.sh("python3 crawl.py URL out");
    assert_eq!(served.sh(&format!("diff -r {} out && echo same", place.text())), "same\n");
    assert_eq!(
        served.sh(&format!("{STATUS} URL/.kstashfs/info")),
        "200 0".replace(" 0", &served.sh("curl -s URL/.kstashfs/info | wc -c | tr -d '\\n' | sed 's/^/ /'"))
    );
    assert!(served.end().contains("Serving one, "));
}

#[tokio::test(flavor = "multi_thread")]
async fn http_is_spoken_as_clients_expect() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let served = Served::start(sample.user(PASSWORD), ANY);
    let file = "URL/namespaces/team-1/configmaps/configmaps-3.yaml";
    let whole = served.sh(&format!("curl -s {file}"));
    let size = whole.len();
    let sh = |words: &str| served.sh(&words.replace("FILE", file));
    let headers = sh("curl -sI FILE | tr -d '\\r' | tr 'A-Z' 'a-z'");
    for header in
        [format!("content-length: {size}\n"), "accept-ranges: bytes\n".into(), "x-content-type-options: nosniff\n".into(), "last-modified: ".into()]
    {
        assert!(headers.contains(&header), "{header}: {headers}");
    }
    let tag = sh("curl -sI FILE | grep -i ^etag: | cut -d' ' -f2 | tr -d '\\r\\n'");
    assert!(tag.starts_with('"') && tag.len() > 10, "{tag}");
    for (words, wanted) in [
        ("-r 5-9 FILE".to_owned(), "206 5".to_owned()),
        ("-r -7 FILE".into(), "206 7".into()),
        (format!("-r {size}- FILE"), "416".into()),
        (format!("-H 'If-None-Match: {tag}' FILE"), "304 0".into()),
        ("-H 'If-None-Match: \"x\"' FILE".into(), format!("200 {size}")),
        (format!("-r 0-0 -H 'If-Range: {tag}' FILE"), "206 1".into()),
        ("-r 0-0 -H 'If-Range: \"x\"' FILE".into(), format!("200 {size}")),
        ("URL/nothing".into(), "404".into()),
        ("FILE/".into(), "404".into()),
        ("FILE/x".into(), "404".into()),
        ("URL/namespaces/odd".into(), "301".into()),
        ("--path-as-is URL/namespaces/../cluster/".into(), "404".into()),
        ("URL/cluster/clusterroles.rbac.authorization.k8s.io/gr%C3%B6%C3%9Fe.yaml".into(), "200".into()),
        ("-H 'Host: evil.example' URL/".into(), "403".into()),
        ("-H 'Host: evil.example' FILE".into(), "403".into()),
        ("-X OPTIONS URL/".into(), "200 0".into()),
    ] {
        let status = sh(&format!("{STATUS} {words}"));
        assert!(status.starts_with(&wanted), "{words}: {status}");
    }
    assert_eq!(sh("curl -s -r 5-9 FILE"), whole[5..10]);
    assert_eq!(sh("curl -sL URL/namespaces/odd | grep -c large.yaml || true").trim(), "0");
    assert!(sh("curl -sL URL/namespaces/odd/configmaps | grep large.yaml").contains(" MiB</td>"));
    for method in ["PUT", "POST", "DELETE", "PATCH", "MKCOL", "MOVE", "COPY", "LOCK", "UNLOCK", "PROPPATCH", "TRACE"] {
        assert_eq!(sh(&format!("curl -s -o /dev/null -w '%{{http_code}}' -X {method} -d x FILE")), "405", "{method}");
    }
    assert!(sh("curl -sI -X OPTIONS URL/ | tr -d '\\r'").to_lowercase().contains("\ndav: 1\n"));
    // Many at once.
    sh("for n in $(seq 1 60); do curl -s FILE -o many-$n & done; wait; for n in $(seq 1 60); do cmp many-1 many-$n; done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webdav_client_browses_it() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let served = Served::start(sample.user(PASSWORD), ANY);
    let propfind = |depth: &str, path: &str, body: &str| {
        served.sh(&format!("curl -s -X PROPFIND -H 'Depth: {depth}' -d '{body}' -w '%{{http_code}}\\n' URL{path}"))
    };
    let count = |text: &str| text.matches("<D:response>").count();
    let root = propfind("1", "/", "");
    assert!(root.ends_with("207\n") && count(&root) == 4 && root.contains("<D:href>/resources/</D:href>"), "{root}");
    assert_eq!(count(&propfind("0", "/", "")), 1);
    let files = propfind("1", "/namespaces/team-1/configmaps", "");
    assert_eq!((count(&files), files.matches("<D:getetag>").count()), (21, 20), "{files}");
    let body = "<propfind xmlns=\"DAV:\"><prop><getcontentlength/><quota-used-bytes/></prop></propfind>";
    let one = propfind("0", "/cluster/namespaces/odd.yaml", body);
    assert!(one.contains("<D:getcontentlength>") && one.contains("404 Not Found") && !one.contains("getetag"), "{one}");
    for (depth, path, body, status) in
        [("infinity", "/", "", "403"), ("1", "/nothing", "", "404"), ("1", "/", "<x", "400"), ("infinity", "/cluster/namespaces/odd.yaml", "", "207")]
    {
        assert!(propfind(depth, path, body).ends_with(&format!("{status}\n")), "{depth} {path} {body}");
    }
    // A program that was written for other servers.
    let said = served.sh(
        "printf '%s\\n' 'ls' 'cd namespaces/team-1/configmaps' 'ls' 'get configmaps-3.yaml mine.yaml' 'put mine.yaml' 'mkcol x' 'cat configmaps-4.yaml' quit | cadaver URL/",
    );
    assert!(said.contains("Coll:   cluster") && said.contains("configmaps-19.yaml") && said.contains("name: configmaps-4"), "{said}");
    assert!(said.matches("405 Method Not Allowed").count() == 2, "nothing can be written: {said}");
    assert_eq!(served.sh("cat mine.yaml"), served.sh("curl -s URL/namespaces/team-1/configmaps/configmaps-3.yaml"));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_snapshots_are_served_and_new_ones_show() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let served = Served::start(sample.user(PASSWORD), &["--all", "--listen", "127.0.0.1:0"]);
    let names = |path: &str| served.sh(&format!("curl -s URL{path} | grep -o '<a href=\"[^\"]*' | cut -d'\"' -f2 | tr '\\n' ' '"));
    assert_eq!((names("/"), names("/snapshots/")), ("./snapshots/ ./latest/ ./by-day/ ./changes/ ./history/ ".into(), "../ ./one/ ".into()));
    assert_eq!(names("/latest/"), "../ ./cluster/ ./namespaces/ ./resources/ ");
    let same = "cmp <(curl -s URL/latest/cluster/namespaces/odd.yaml) <(curl -s URL/snapshots/one/cluster/namespaces/odd.yaml) && echo same";
    assert_eq!(served.sh(same), "same\n");
    // Links to another folder are followed, and what no snapshot holds by itself can be read.
    let other_ways = "odd=$(mktemp) && curl -s URL/latest/cluster/namespaces/odd.yaml > $odd
day=$(curl -s URL/by-day/ | grep -o '20[0-9]*-[0-9]*-[0-9]*' | head -1) && curl -s URL/by-day/$day/one/cluster/namespaces/odd.yaml | cmp - $odd
version=$(curl -s URL/history/cluster/namespaces/odd/ | grep -o '20[^\"/<]*yaml' | head -1) && curl -s URL/history/cluster/namespaces/odd/$version | cmp - $odd && echo same";
    assert_eq!(served.sh(other_ways), "same\n");
    sample.back_up("two", 1).await;
    kubestash_tests::mounts::wait_for("the new snapshot shows", std::time::Duration::from_secs(10), || names("/snapshots/").contains("./two/"));
    assert!(served.sh("curl -s -X PROPFIND -H 'Depth: 1' URL/").contains("<D:href>/latest/</D:href>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn others_need_the_password() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let user = sample.user(PASSWORD);
    std::fs::write(user.home().join("login"), "let me: in\n").unwrap();
    let served = Served::start(user, &["--listen", "127.0.0.1:0", "--login-password-file", "login"]);
    let status = |words: &str| served.sh(&format!("{STATUS} {words} URL/cluster/namespaces/odd.yaml"));
    assert!(status("").starts_with("401") && status("-u kubestash:wrong").starts_with("401") && status("-u other:'let me: in'").starts_with("401"));
    assert!(status("-u kubestash:'let me: in'").starts_with("200"));
    assert!(served.sh("curl -si URL/").to_lowercase().contains("www-authenticate: basic"));
    // Whoever knows it may come by any name.
    assert!(status("-u kubestash:'let me: in' -H 'Host: backups.example'").starts_with("200"));
    served.end();
    // Where others reach it, there always is one.
    let served = Served::start(sample.user(PASSWORD), &["--listen", "0.0.0.0:0", "--hide-secrets"]);
    let url = served.url.replace("0.0.0.0", "127.0.0.1");
    let secret = format!("{url}/namespaces/team-0/secrets/secrets-1.yaml");
    assert!(served.sh(&format!("{STATUS} {secret}")).starts_with("401"));
    let home = served.user.home().to_owned();
    let mut served = served;
    let mut said = String::new();
    let mut lines = BufReader::new(served.child.stderr.take().unwrap());
    while !said.contains("Readers log in as") {
        assert!(lines.read_line(&mut said).unwrap() > 0, "{said}");
    }
    assert!(said.contains("warning: others reach this address"), "{said}");
    let password = said.lines().last().unwrap().rsplit(' ').next().unwrap().to_owned();
    assert!(password.len() >= 32);
    let text = script(&home, &format!("curl -s -u kubestash:{password} {secret}"));
    assert!(String::from_utf8_lossy(&text.stdout).contains("token: '<hidden: "), "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_an_error_with_its_reason() {
    let sample = Sample::with_snapshot(Shape::WIDE).await;
    let (_, _, hit) = damaged_pack(&sample).await;
    let served = Served::start(sample.user(PASSWORD), ANY);
    let path = hit.first().unwrap();
    let answer = served.sh(&format!("curl -s -w '%{{http_code}}' URL/{}", path.replace('+', "%2B")));
    assert!(answer.ends_with("500") && answer.contains("is damaged"), "{answer}");
    assert!(served.sh("curl -s URL/.kstashfs/info").contains(&format!("path: {path}\n")));
    assert!(served.sh("curl -s URL/cluster/namespaces/odd.yaml").len() > 10);
    let taken = served.user.run(&["serve", "--listen", served.url.trim_start_matches("http://")]);
    assert!(taken.code == 1 && taken.err.contains("cannot listen on"), "{taken:?}");
    assert_eq!(served.user.home().metadata().unwrap().uid(), 0);
}
