//! Figures as tab-separated lines for programs, and as a table for people.

use super::figure::{Figure, Target};

/// Enough digits to compare, not more: 0.0123, 1.23, 123.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 0.1 || value == 0.0 => 2,
        _ => 4,
    };
    format!("{value:.digits$}")
}

fn or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), number)
}

fn cells(figure: &Figure) -> [String; 6] {
    let target = match figure.target {
        None => "-".to_owned(),
        Some(Target::Value(value)) => number(value),
        Some(Target::TimesFloor(times)) => format!("{}x", number(times)),
    };
    let ratio = figure.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
    [figure.name.clone(), or_dash(figure.value), figure.unit.to_owned(), or_dash(figure.floor), ratio, target]
}

/// One line a figure: name, value, unit, floor, ratio, target. `-` stands for what there is not.
pub fn tsv(figures: &[Figure]) -> String {
    figures.iter().map(|figure| format!("{}\n", cells(figure).join("\t"))).collect()
}

/// The same, aligned, with a verdict; notes follow.
pub fn table(figures: &[Figure]) -> String {
    let mut rows = vec![["FIGURE", "VALUE", "UNIT", "FLOOR", "RATIO", "TARGET", ""].map(str::to_owned)];
    for figure in figures {
        let [name, value, unit, floor, ratio, target] = cells(figure);
        let verdict = figure.meets().map_or("", |met| if met { "met" } else { "MISSED" });
        rows.push([name, value, unit, floor, ratio, target, verdict.to_owned()]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Numbers stand right, words left.
            let number = matches!(column, 1 | 3 | 4 | 5);
            text.push_str(&if number { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") });
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    let notes: String = figures.iter().filter_map(|figure| figure.note.as_ref().map(|note| format!("{}: {note}\n", figure.name))).collect();
    if notes.is_empty() { text } else { format!("{text}\n{notes}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make_figures() -> Vec<Figure> {
        vec![
            Figure::cost("backup.first", 8.0, "s").over(Some(5.0)).aims_at(Target::TimesFloor(2.0)).noting("floor: raw lists"),
            Figure::cost("backup.rss", 140.4, "MiB").aims_at(Target::Value(128.0)),
            Figure::rate("object.emit", 0.051_23, "GB/s"),
            Figure::missing("mount.find.ext4", "s", "dropping caches needs root"),
        ]
    }

    #[test]
    fn lines_have_six_columns() {
        assert_eq!(
            tsv(&make_figures()),
            "backup.first\t8.00\ts\t5.00\t1.60\t2.00x\nbackup.rss\t140\tMiB\t-\t-\t128\nobject.emit\t0.0512\tGB/s\t-\t-\t-\nmount.find.ext4\t-\ts\t-\t-\t-\n"
        );
    }

    #[test]
    fn the_table_is_aligned_and_tells_what_is_missing() {
        let expected = "\
FIGURE            VALUE  UNIT  FLOOR  RATIO  TARGET
backup.first       8.00  s      5.00   1.60   2.00x  met
backup.rss          140  MiB       -      -     128  MISSED
object.emit      0.0512  GB/s      -      -       -
mount.find.ext4       -  s         -      -       -

backup.first: floor: raw lists
mount.find.ext4: dropping caches needs root
";
        assert_eq!(table(&make_figures()), expected);
    }
}
