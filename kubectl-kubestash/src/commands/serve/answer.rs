//! Requests and their answers.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use kstashfs::browse::{BrowseError, Browser, Entry, Kind};
use percent_encoding::percent_decode_str;
use tokio::sync::Semaphore;

use super::{
    dav::{self, Depth, Resource},
    guard::{Guard, Refusal},
    listing, range,
};

/// Shown by browsers; as YAML they would offer to save it.
pub const FILE_TYPE: &str = "text/plain; charset=utf-8";
const METHODS: &str = "OPTIONS, GET, HEAD, PROPFIND";
/// A body that asks for properties has some hundred bytes.
const LARGEST_BODY: usize = 64 << 10;

/// What is served.
pub struct Site {
    pub browser: Browser,
    pub guard: Guard,
    /// One for each request that may be answered at the same time.
    pub turns: Semaphore,
}

fn plain(status: StatusCode, text: impl Into<String>) -> Response {
    (status, [(header::CONTENT_TYPE, FILE_TYPE)], format!("{}\n", text.into())).into_response()
}

fn failed(error: BrowseError) -> Response {
    match error {
        BrowseError::NotFound => plain(StatusCode::NOT_FOUND, error.to_string()),
        BrowseError::Directory(_) | BrowseError::Content(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{:#}", anyhow::Error::new(error))),
    }
}

/// Answers a request.
pub async fn answer(State(site): State<Arc<Site>>, request: Request) -> Response {
    // It is never closed.
    let _turn = site.turns.acquire().await;
    let mut response = answer_one(&site, request).await;
    // Pages hold nothing but links, and files are text, whatever is written in them.
    let fixed: [(HeaderName, &str); 3] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        (header::CACHE_CONTROL, "private, no-cache"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}

async fn answer_one(site: &Site, request: Request) -> Response {
    match site.guard.check(request.headers()) {
        Ok(()) => {}
        Err(Refusal::Login) => {
            let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"kubestash\", charset=\"UTF-8\"")];
            return (challenge, plain(StatusCode::UNAUTHORIZED, "a password is needed")).into_response();
        }
        Err(Refusal::Host) => return plain(StatusCode::FORBIDDEN, "call it by the address that it listens on"),
    }
    if request.method() == Method::OPTIONS {
        return (StatusCode::OK, [(header::ALLOW, METHODS), (HeaderName::from_static("dav"), "1")]).into_response();
    }
    let propfind = request.method().as_str() == "PROPFIND";
    if !propfind && request.method() != Method::GET && request.method() != Method::HEAD {
        return ([(header::ALLOW, METHODS)], plain(StatusCode::METHOD_NOT_ALLOWED, "nothing can be changed here")).into_response();
    }
    let path = request.uri().path().to_owned();
    let Some(names) = names(&path) else { return plain(StatusCode::NOT_FOUND, BrowseError::NotFound.to_string()) };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let entry = match site.browser.find(&names).await {
        Ok(entry) => entry,
        Err(error) => return failed(error),
    };
    match (propfind, &entry.kind) {
        (true, _) => properties(&site.browser, &names, &entry, request).await,
        (false, Kind::File(size)) if !path.ends_with('/') => {
            let head = request.method() == Method::HEAD;
            file(&site.browser, &entry, *size, request.headers(), head).await
        }
        (false, Kind::File(_)) => plain(StatusCode::NOT_FOUND, BrowseError::NotFound.to_string()),
        (false, _) if !path.ends_with('/') => (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, format!("{path}/"))]).into_response(),
        (false, _) => match site.browser.list(entry.inode).await {
            Ok(entries) => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], listing::page(&names, &entries)).into_response(),
            Err(error) => failed(error),
        },
    }
}

/// The names of a path, decoded; `None` for what is no text, or is no path of names.
fn names(path: &str) -> Option<Vec<String>> {
    let trimmed = path.strip_prefix('/')?;
    if trimmed.is_empty() {
        return Some(Vec::new());
    }
    let decoded = trimmed.strip_suffix('/').unwrap_or(trimmed).split('/').map(|part| Some(percent_decode_str(part).decode_utf8().ok()?.into_owned()));
    let names: Vec<String> = decoded.collect::<Option<_>>()?;
    names.iter().all(|name| !name.is_empty() && name != "." && name != ".." && !name.contains('/')).then_some(names)
}

async fn properties(browser: &Browser, names: &[&str], entry: &Entry, request: Request) -> Response {
    let depth = dav::depth(request.headers().get("depth").and_then(|value| value.to_str().ok()));
    let is_file = matches!(entry.kind, Kind::File(_));
    // Below a file there is nothing, however deep one looks.
    let Some(depth) = depth.or_else(|| is_file.then_some(Depth::Zero)) else {
        return (StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "application/xml; charset=utf-8")], dav::FINITE_DEPTH).into_response();
    };
    let Ok(body) = to_bytes(request.into_body(), LARGEST_BODY).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
    };
    let Some(asked) = dav::asked(&body) else { return plain(StatusCode::BAD_REQUEST, "the body is no propfind of WebDAV") };
    let below = match (depth, is_file) {
        (Depth::One, false) => browser.list(entry.inode).await,
        _ => Ok(Vec::new()),
    };
    let below = match below {
        Ok(below) => below,
        Err(error) => return failed(error),
    };
    let tag = |entry: &Entry| matches!(entry.kind, Kind::File(_)).then(|| browser.tag(entry));
    let own = Resource { path: names.to_vec(), entry, tag: tag(entry) };
    let below = below.iter().map(|entry| Resource { path: names.iter().copied().chain([entry.name.as_str()]).collect(), entry, tag: tag(entry) });
    let resources: Vec<Resource<'_>> = std::iter::once(own).chain(below).collect();
    let text = dav::multistatus(&resources, &asked);
    (StatusCode::MULTI_STATUS, [(header::CONTENT_TYPE, "application/xml; charset=utf-8")], text).into_response()
}

/// Whether a list of tags, as of If-None-Match, has this one.
fn has_tag(list: &str, tag: &str) -> bool {
    list.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == "*" || one == tag)
}

async fn file(browser: &Browser, entry: &Entry, size: u64, headers: &HeaderMap, head: bool) -> Response {
    let tag = format!("\"{}\"", browser.tag(entry));
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let about = [(header::ETAG, tag.clone()), (header::LAST_MODIFIED, dav::http_time(entry)), (header::ACCEPT_RANGES, "bytes".to_owned())];
    if text(header::IF_NONE_MATCH).is_some_and(|list| has_tag(list, &tag)) {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    // A part of what somebody has the other part of counts only if both are of the same file.
    let same = text(header::IF_RANGE).is_none_or(|wanted| wanted == tag);
    let wanted = range::wanted(text(header::RANGE).filter(|_| same && !head), size);
    let whole = 0..size;
    let (status, part) = match &wanted {
        range::Wanted::Whole => (StatusCode::OK, &whole),
        range::Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        range::Wanted::Nothing => {
            let there = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            return (about, there, plain(StatusCode::RANGE_NOT_SATISFIABLE, "the file is shorter")).into_response();
        }
    };
    let body = if head {
        Body::empty()
    } else {
        match browser.read(entry.inode).await {
            Ok(content) => {
                let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(content.len());
                Body::from(content.slice(at(part.start)..at(part.end)))
            }
            Err(error) => return failed(error),
        }
    };
    let kind = [(header::CONTENT_TYPE, FILE_TYPE.to_owned()), (header::CONTENT_LENGTH, (part.end - part.start).to_string())];
    let mut response = (status, about, kind, body).into_response();
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(value) = format!("bytes {}-{}/{size}", part.start, part.end - 1).parse()
    {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_names() {
        let of = |path: &str| names(path).map(|names| names.join("|"));
        for (path, wanted) in [
            ("/", Some("")),
            ("/a", Some("a")),
            ("/a/b%20c/", Some("a|b c")),
            ("/gr%C3%B6%C3%9Fe.yaml", Some("größe.yaml")),
            ("/system:node.yaml", Some("system:node.yaml")),
            ("/a//b", None),
            ("//", None),
            ("/a/../b", None),
            ("/a/%2e%2e/b", None),
            ("/a%2Fb", None),
            ("/%ff", None),
            ("*", None),
        ] {
            assert_eq!(of(path).as_deref(), wanted, "{path}");
        }
    }

    #[test]
    fn tags_are_found_in_lists() {
        for (list, found) in [("\"a\"", true), ("\"b\", W/\"a\"", true), ("*", true), ("\"b\"", false), ("a", false), ("", false)] {
            assert_eq!(has_tag(list, "\"a\""), found, "{list}");
        }
    }
}
