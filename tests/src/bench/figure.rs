//! One measured value, and what it is held against.

/// What a figure should reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// A value in the figure's own unit.
    Value(f64),
    /// So many times the floor of the same run.
    TimesFloor(f64),
}

/// One line of the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// `mount.grep_cold`: the group, a dot, and what.
    pub name: String,
    /// The median of the rounds; nothing where it could not be measured, and then there is a note.
    pub value: Option<f64>,
    /// Unit of value, floor and target.
    pub unit: &'static str,
    /// What the bare work costs, measured in the same run.
    pub floor: Option<f64>,
    /// What was promised.
    pub target: Option<Target>,
    /// True for times and sizes, false for rates.
    pub lower_is_better: bool,
    /// What the floor is, or why something is missing.
    pub note: Option<String>,
}

impl Figure {
    /// A time, size or other cost.
    pub fn cost(name: &str, value: f64, unit: &'static str) -> Self {
        Self { name: name.to_owned(), value: Some(value), unit, floor: None, target: None, lower_is_better: true, note: None }
    }

    /// A speed.
    pub fn rate(name: &str, value: f64, unit: &'static str) -> Self {
        Self { lower_is_better: false, ..Self::cost(name, value, unit) }
    }

    /// A figure that this machine cannot measure.
    pub fn missing(name: &str, unit: &'static str, why: &str) -> Self {
        Self { value: None, note: Some(why.to_owned()), ..Self::cost(name, 0.0, unit) }
    }

    /// Sets the floor, if there is one.
    #[must_use]
    pub fn over(mut self, floor: Option<f64>) -> Self {
        self.floor = floor;
        self
    }

    /// Sets the target.
    #[must_use]
    pub fn aims_at(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    /// Sets the target if it is meant for a run of this size.
    #[must_use]
    pub fn aims_at_in(self, size: Size, target: Target) -> Self {
        if size.is_full() { self.aims_at(target) } else { self }
    }

    /// Says more below the table.
    #[must_use]
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Value by floor.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.value? / self.floor.filter(|&floor| floor > 0.0)?)
    }

    /// Whether the target is met; nothing where there is no target or no value.
    pub fn meets(&self) -> Option<bool> {
        let (reached, wanted) = match self.target? {
            Target::Value(wanted) => (self.value?, wanted),
            Target::TimesFloor(wanted) => (self.ratio()?, wanted),
        };
        Some(if self.lower_is_better { reached <= wanted } else { reached >= wanted })
    }
}

/// How many objects a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub usize);

impl Size {
    /// What targets in seconds and megabytes are meant for.
    pub const FULL: Self = Self(100_000);

    /// Whether this is a run that such targets are meant for.
    pub fn is_full(self) -> bool {
        self == Self::FULL
    }

    /// What something costs for 100,000 objects when it costs this much here.
    pub fn per_full(self, cost: f64) -> f64 {
        cost * Self::FULL.0 as f64 / self.0.max(1) as f64
    }
}

/// The middle value; of an even number the mean of the two in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_held_against_the_right_thing() {
        let cost = |target: Target| Figure::cost("x", 3.0, "s").over(Some(2.0)).aims_at(target);
        for (figure, met) in [
            (cost(Target::Value(3.0)), Some(true)),
            (cost(Target::Value(2.9)), Some(false)),
            (cost(Target::TimesFloor(1.5)), Some(true)),
            (cost(Target::TimesFloor(1.4)), Some(false)),
            (cost(Target::TimesFloor(1.4)).over(None), None),
            (Figure::rate("x", 3.0, "MB/s").aims_at(Target::Value(2.0)), Some(true)),
            (Figure::rate("x", 3.0, "MB/s").aims_at(Target::Value(4.0)), Some(false)),
            (Figure::cost("x", 3.0, "s"), None),
            (Figure::missing("x", "s", "no root").aims_at(Target::Value(1.0)), None),
            (Figure::cost("x", 3.0, "s").aims_at_in(Size(5000), Target::Value(1.0)), None),
            (Figure::cost("x", 3.0, "s").aims_at_in(Size::FULL, Target::Value(1.0)), Some(false)),
        ] {
            assert_eq!(figure.meets(), met, "{figure:?}");
        }
    }

    #[test]
    fn medians() {
        for (values, expected) in [(vec![], None), (vec![3.0], Some(3.0)), (vec![9.0, 1.0, 2.0], Some(2.0)), (vec![4.0, 1.0, 2.0, 9.0], Some(3.0))] {
            assert_eq!(median(values), expected);
        }
    }

    #[test]
    fn costs_are_scaled() {
        assert!((Size(5000).per_full(0.5) - 10.0).abs() < 1e-9);
    }
}
