//! PROPFIND: what WebDAV clients ask of files and directories, RFC 4918.

use jiff::Timestamp;
use kstashfs::browse::{Browser, Entry, Kind};
use quick_xml::{NsReader, events::Event, name::ResolveResult};

use super::listing::{encoded, escaped};

const DAV: &str = "DAV:";

/// How far below a directory a client wants to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// At itself.
    Zero,
    /// Also at what is in it.
    One,
}

/// Reads a Depth header; `None` for all levels, which no client needs and a server may refuse.
pub fn depth(header: Option<&str>) -> Option<Depth> {
    match header.map(str::trim) {
        Some("0") => Some(Depth::Zero),
        Some("1") => Some(Depth::One),
        _ => None,
    }
}

/// A property by its namespace and name.
pub type Name = (String, String);

/// Which properties are asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// All of them.
    All,
    /// Their names.
    Names,
    /// These.
    These(Vec<Name>),
}

/// Reads the body of a request; an empty one asks for all. `None` for what is no such body.
pub fn asked(body: &[u8]) -> Option<Asked> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Some(Asked::All);
    }
    let mut reader = NsReader::from_reader(body);
    let (mut path, mut asked, mut buffer): (Vec<Name>, Option<Asked>, Vec<u8>) = (Vec::new(), None, Vec::new());
    let dav = |name: &str| (DAV.to_owned(), name.to_owned());
    loop {
        let (namespace, event) = reader.read_resolved_event_into(&mut buffer).ok()?;
        let namespace = match namespace {
            ResolveResult::Bound(namespace) => String::from_utf8_lossy(namespace.as_ref()).into_owned(),
            ResolveResult::Unbound => String::new(),
            // Only elements have prefixes that matter.
            ResolveResult::Unknown(_) => match event {
                Event::Start(_) | Event::Empty(_) => return None,
                _ => String::new(),
            },
        };
        let is_start = matches!(event, Event::Start(_));
        match event {
            Event::Start(element) | Event::Empty(element) => {
                let name = (namespace, String::from_utf8_lossy(element.local_name().as_ref()).into_owned());
                match path.as_slice() {
                    [] if name != dav("propfind") => return None,
                    [_] if name == dav("allprop") => asked = Some(Asked::All),
                    [_] if name == dav("propname") => asked = Some(Asked::Names),
                    [_] if name == dav("prop") => asked = Some(Asked::These(Vec::new())),
                    [_, prop] if *prop == dav("prop") => {
                        if let Some(Asked::These(names)) = &mut asked {
                            names.push(name.clone());
                        }
                    }
                    _ => {}
                }
                if is_start {
                    path.push(name);
                }
            }
            Event::End(_) => drop(path.pop()),
            Event::Eof => return asked.filter(|_| path.is_empty()),
            // No client needs one, and who sends one may mean harm.
            Event::DocType(_) => return None,
            _ => {}
        }
        buffer.clear();
    }
}

/// One answer: where something is, what it is, and the tag of its bytes.
pub struct Resource<'a> {
    pub path: Vec<&'a str>,
    pub entry: &'a Entry,
    pub tag: Option<String>,
}

/// A time as HTTP writes it.
pub fn http_time(entry: &Entry) -> String {
    let time = Timestamp::from_second(i64::try_from(Browser::seconds(entry.modified)).unwrap_or_default()).unwrap_or_default();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

impl Resource<'_> {
    /// Where it is; directories end with a slash.
    pub fn href(&self) -> String {
        let path: String = self.path.iter().map(|name| format!("/{}", encoded(name))).collect();
        if matches!(self.entry.kind, Kind::File(_)) { path } else { format!("{path}/") }
    }

    /// The properties of RFC 4918 that it has, each with its content as XML.
    fn properties(&self) -> Vec<(&'static str, String)> {
        let created = Timestamp::from_second(i64::try_from(Browser::seconds(self.entry.modified)).unwrap_or_default()).unwrap_or_default();
        let mut all = vec![
            ("displayname", escaped(self.path.last().copied().unwrap_or_default())),
            ("creationdate", created.to_string()),
            ("getlastmodified", http_time(self.entry)),
            ("supportedlock", String::new()),
        ];
        match &self.entry.kind {
            Kind::File(size) => all.extend([
                ("resourcetype", String::new()),
                ("getcontentlength", size.to_string()),
                ("getcontenttype", super::answer::FILE_TYPE.to_owned()),
            ]),
            Kind::Directory | Kind::Link(_) => all.push(("resourcetype", "<D:collection/>".to_owned())),
        }
        if let Some(tag) = &self.tag {
            all.push(("getetag", format!("&quot;{}&quot;", escaped(tag))));
        }
        all
    }

    fn write(&self, asked: &Asked, out: &mut String) {
        let own = self.properties();
        let (mut found, mut missing) = (String::new(), String::new());
        match asked {
            Asked::All => found.extend(own.iter().map(|(name, content)| format!("<D:{name}>{content}</D:{name}>"))),
            Asked::Names => found.extend(own.iter().map(|(name, _)| format!("<D:{name}/>"))),
            Asked::These(names) => {
                for (namespace, name) in names {
                    match own.iter().find(|(own, _)| namespace == DAV && own == name) {
                        Some((name, content)) => found.push_str(&format!("<D:{name}>{content}</D:{name}>")),
                        None => missing.push_str(&format!("<x:{0} xmlns:x=\"{1}\"/>", escaped(name), escaped(namespace))),
                    }
                }
            }
        }
        out.push_str(&format!("<D:response><D:href>{}</D:href>", self.href()));
        let mut part = |properties: &str, status: &str| {
            out.push_str(&format!("<D:propstat><D:prop>{properties}</D:prop><D:status>HTTP/1.1 {status}</D:status></D:propstat>"));
        };
        if !found.is_empty() || missing.is_empty() {
            part(&found, "200 OK");
        }
        if !missing.is_empty() {
            part(&missing, "404 Not Found");
        }
        out.push_str("</D:response>\n");
    }
}

/// The body of an answer.
pub fn multistatus(resources: &[Resource<'_>], asked: &Asked) -> String {
    let mut out = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">\n".to_owned();
    for resource in resources {
        resource.write(asked, &mut out);
    }
    out.push_str("</D:multistatus>\n");
    out
}

/// The body that refuses to look at all levels.
pub const FINITE_DEPTH: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:error xmlns:D=\"DAV:\"><D:propfind-finite-depth/></D:error>\n";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn names(names: &[(&str, &str)]) -> Asked {
        Asked::These(names.iter().map(|(namespace, name)| ((*namespace).to_owned(), (*name).to_owned())).collect())
    }

    #[test]
    fn bodies_of_clients_are_read() {
        for (body, wanted) in [
            ("", Some(Asked::All)),
            (" \n", Some(Asked::All)),
            ("<?xml version=\"1.0\"?><propfind xmlns=\"DAV:\"><allprop/></propfind>", Some(Asked::All)),
            ("<D:propfind xmlns:D=\"DAV:\"><D:propname/></D:propfind>", Some(Asked::Names)),
            (
                "<a:propfind xmlns:a=\"DAV:\"><a:prop><a:getetag/><b:x xmlns:b=\"urn:b\"/><y/></a:prop></a:propfind>",
                Some(names(&[("DAV:", "getetag"), ("urn:b", "x"), ("", "y")])),
            ),
            ("<propfind xmlns=\"DAV:\"><prop></prop></propfind>", Some(names(&[]))),
            ("<propfind xmlns=\"DAV:\"></propfind>", None),
            ("<propfind><allprop/></propfind>", None),
            ("<other xmlns=\"DAV:\"><allprop/></other>", None),
            ("<propfind xmlns=\"DAV:\"><allprop/>", None),
            ("<a:propfind><a:allprop/></a:propfind>", None),
            ("<!DOCTYPE x [<!ENTITY a \"b\">]><propfind xmlns=\"DAV:\"><allprop/></propfind>", None),
            ("{}", None),
        ] {
            assert_eq!(asked(body.as_bytes()), wanted, "{body}");
        }
    }

    #[test]
    fn depths() {
        assert_eq!([Some("0"), Some(" 1"), Some("infinity"), Some("2"), None].map(depth), [Some(Depth::Zero), Some(Depth::One), None, None, None]);
    }

    #[test]
    fn properties_are_told() {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let entry = |kind| Entry { name: String::new(), inode: 1, kind, mode: 0, modified };
        let (file, folder) = (entry(Kind::File(7)), entry(Kind::Directory));
        let file = Resource { path: vec!["a", "b&c:d.yaml"], entry: &file, tag: Some("t".into()) };
        let folder = Resource { path: vec![], entry: &folder, tag: None };
        let all = multistatus(&[folder, file], &Asked::All);
        for wanted in [
            "<D:response><D:href>/</D:href>",
            "<D:resourcetype><D:collection/></D:resourcetype>",
            "<D:href>/a/b%26c%3Ad.yaml</D:href>",
            "<D:displayname>b&amp;c:d.yaml</D:displayname>",
            "<D:getcontentlength>7</D:getcontentlength>",
            "<D:getetag>&quot;t&quot;</D:getetag>",
            "<D:getlastmodified>Sun, 09 Sep 2001 01:46:40 GMT</D:getlastmodified>",
            "<D:creationdate>2001-09-09T01:46:40Z</D:creationdate>",
        ] {
            assert!(all.contains(wanted), "{wanted}\n{all}");
        }
        let folder = entry(Kind::Directory);
        let folder = Resource { path: vec!["a"], entry: &folder, tag: None };
        let some = multistatus(&[folder], &names(&[("DAV:", "resourcetype"), ("DAV:", "getcontentlength"), ("u\"v", "x")]));
        let wanted = "<D:href>/a/</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>\
            <D:propstat><D:prop><x:getcontentlength xmlns:x=\"DAV:\"/><x:x xmlns:x=\"u&quot;v\"/></D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat>";
        assert!(some.contains(wanted), "{some}");
    }
}
