//! From the name of a file back to the object: by its place among sorted names.

use std::ops::Range;

use kubestash::object::{directory_name, file_name, shortened_head};

/// Finds the one of some names, sorted by their bytes, whose file is called so. `name` gives the name at a place.
pub(crate) fn find_file<'a>(places: Range<u32>, name: &dyn Fn(u32) -> &'a str, file: &str) -> Option<u32> {
    let first_from = |wanted: &str| {
        let (mut low, mut high) = (places.start, places.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if name(middle) < wanted { low = middle + 1 } else { high = middle }
        }
        low
    };
    let is = |place: &u32| file_name(name(*place)) == file;
    if file.contains('%') {
        // Escaped names sort otherwise than their objects; they are next to never seen.
        return places.clone().find(is);
    }
    match shortened_head(file) {
        Some(head) => (first_from(head)..places.end).take_while(|&place| name(place).starts_with(head)).find(is),
        None => Some(first_from(file.strip_suffix(".yaml")?)).filter(|place| places.contains(place)).filter(is),
    }
}

/// What the directory of an object is called: as its file, without the ending.
pub(crate) fn object_directory(name: &str) -> String {
    let file = file_name(name);
    match file.strip_suffix(".yaml") {
        // No directory can be called so.
        None | Some("" | "." | "..") => directory_name(name).into_owned(),
        Some(stem) => stem.to_owned(),
    }
}

/// Finds the one of some names whose directory is called so, as [`find_file`] does.
pub(crate) fn find_object_directory<'a>(places: Range<u32>, name: &dyn Fn(u32) -> &'a str, directory: &str) -> Option<u32> {
    match directory {
        "%" | "%2E" | "%2E%2E" => places.clone().find(|&place| object_directory(name(place)) == directory),
        _ => find_file(places, name, &format!("{directory}.yaml")).filter(|&place| object_directory(name(place)) == directory),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_by_its_file_and_by_its_directory() {
        let mut names: Vec<String> =
            ["", ".", "..", "%", "%2E", "a", "A", "a.b", "a/b", "a:b", "a.yaml", "~", "\u{fc}", "two words", "system:node"].map(str::to_owned).into();
        names.extend([249, 250, 251, 252, 253, 300].map(|length| "n".repeat(length)));
        names.extend(["x", "y"].map(|end| format!("{}{end}", "m".repeat(260))));
        names.sort_unstable();
        let (places, name) = (0..names.len() as u32, |place: u32| names.get(place as usize).map_or("", String::as_str));
        for (place, own) in (0..).zip(&names) {
            assert_eq!(find_file(places.clone(), &name, &file_name(own)), Some(place), "{own}");
            let directory = object_directory(own);
            assert!(!directory.is_empty() && directory.len() <= 255 && !directory.contains('/') && directory != "." && directory != "..", "{own}");
            assert_eq!(find_object_directory(places.clone(), &name, &directory), Some(place), "{own}");
        }
        for absent in ["", "b", "a.yam", "%2", "%25%", "n", &"n".repeat(251), "\0", "a/b"] {
            assert_eq!(find_file(places.clone(), &name, absent), None, "{absent}");
            assert_eq!(find_object_directory(places.clone(), &name, absent), None, "{absent}");
        }
    }
}
