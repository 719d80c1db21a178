//! The phase, integrity and size that the components of a Snapshot make together.

use super::{
    condition::{has_condition, is_false, is_true},
    conditions::{BACKUP_INCOMPLETE, RECENT_SNAPSHOT_LIST_UPDATED, SNAPSHOT_METADATA_UPLOADED},
    driver::Driver,
    names::{format_size, parse_size},
    phase::{ComponentPhase, SnapshotPhase},
    snapshot::{Component, SnapshotStatus},
};

impl Component {
    /// Whether its driver tells size and integrity, so that they are unknown as long as they are absent.
    const fn is_measured(&self) -> bool {
        matches!(self.driver, Some(Driver::Restic | Driver::KStash))
    }
}

impl SnapshotStatus {
    /// The phase that the components make together.
    fn roll_up(&self) -> SnapshotPhase {
        if self.components.is_empty() {
            return SnapshotPhase::Pending;
        }
        let count = |phase| self.components.values().filter(|component| component.phase == Some(phase)).count();
        let (succeeded, failed) = (count(ComponentPhase::Succeeded), count(ComponentPhase::Failed));
        match self.total_components.map_or(Some(self.components.len()), |total| usize::try_from(total).ok()) {
            Some(total) if succeeded == total => SnapshotPhase::Succeeded,
            _ if failed > 0 => SnapshotPhase::Failed,
            _ => SnapshotPhase::Running,
        }
    }

    /// The phase that conditions and components make. It does not succeed before its file is in the backend: who finds it there finds it whole.
    pub fn compute_phase(&self) -> SnapshotPhase {
        let not_told = is_false(&self.conditions, SNAPSHOT_METADATA_UPLOADED) || is_false(&self.conditions, RECENT_SNAPSHOT_LIST_UPDATED);
        if not_told || is_true(&self.conditions, BACKUP_INCOMPLETE) {
            return SnapshotPhase::Failed;
        }
        match self.roll_up() {
            SnapshotPhase::Pending => SnapshotPhase::Pending,
            phase if has_condition(&self.conditions, SNAPSHOT_METADATA_UPLOADED) => phase,
            _ => SnapshotPhase::Running,
        }
    }

    /// Whether all components are there and none will change any more, so that the file can be written.
    pub fn is_backed_up(&self) -> bool {
        let total = self.total_components.and_then(|total| usize::try_from(total).ok()).unwrap_or(1);
        let has_ended = |component: &Component| matches!(component.phase, Some(ComponentPhase::Succeeded | ComponentPhase::Failed));
        self.components.len() >= total && self.components.values().all(has_ended)
    }

    /// Whether all components are undamaged; unknown as long as that of one is, and without components.
    pub fn compute_integrity(&self) -> Option<bool> {
        if self.components.is_empty() || self.components.values().any(|component| component.is_measured() && component.integrity.is_none()) {
            return None;
        }
        Some(self.components.values().all(|component| component.integrity.unwrap_or(true)))
    }

    /// The sizes of all components together; unknown as long as that of one is.
    pub fn compute_size(&self) -> Option<String> {
        let mut total = 0_u64;
        for component in self.components.values() {
            match component.size.as_deref().and_then(parse_size) {
                Some(size) => total = total.saturating_add(size),
                None if component.is_measured() => return None,
                None => {}
            }
        }
        Some(format_size(total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Condition;

    fn status(total: Option<i32>, components: &[Component], conditions: &[(&str, bool)]) -> SnapshotStatus {
        SnapshotStatus {
            total_components: total,
            components: components.iter().enumerate().map(|(at, component)| (format!("c{at}"), component.clone())).collect(),
            conditions: conditions.iter().map(|(type_, status)| Condition::new(type_, *status, "", "")).collect(),
            ..SnapshotStatus::default()
        }
    }

    fn component(phase: ComponentPhase) -> Component {
        Component { phase: Some(phase), driver: Some(Driver::Restic), ..Component::default() }
    }

    #[test]
    fn components_make_a_phase_together() {
        use ComponentPhase::{Failed, Pending, Running, Succeeded};
        let rows: [(Option<i32>, &[ComponentPhase], SnapshotPhase); 10] = [
            (None, &[], SnapshotPhase::Pending),
            (Some(1), &[], SnapshotPhase::Pending),
            (Some(2), &[Succeeded, Succeeded], SnapshotPhase::Succeeded),
            (None, &[Succeeded], SnapshotPhase::Succeeded),
            (Some(2), &[Succeeded, Failed], SnapshotPhase::Failed),
            (Some(3), &[Succeeded, Failed], SnapshotPhase::Failed),
            (Some(3), &[Running, Failed], SnapshotPhase::Failed),
            (Some(2), &[Succeeded], SnapshotPhase::Running),
            (Some(2), &[Succeeded, Running], SnapshotPhase::Running),
            (Some(1), &[Pending], SnapshotPhase::Running),
        ];
        for (total, phases, wanted) in rows {
            let components: Vec<_> = phases.iter().map(|phase| component(*phase)).collect();
            assert_eq!(status(total, &components, &[]).roll_up(), wanted, "{phases:?} of {total:?}");
        }
    }

    /// A row of a table: what is there, and the phase it makes.
    type Row<'a> = (&'a [ComponentPhase], &'a [(&'a str, bool)], SnapshotPhase);

    #[test]
    fn phases() {
        use ComponentPhase::{Failed, Running, Succeeded};
        const UPLOADED: &str = SNAPSHOT_METADATA_UPLOADED;
        let rows: [Row<'_>; 10] = [
            (&[], &[], SnapshotPhase::Pending),
            (&[], &[(UPLOADED, true)], SnapshotPhase::Pending),
            (&[Succeeded], &[], SnapshotPhase::Running),
            (&[Failed], &[], SnapshotPhase::Running),
            (&[Running], &[(UPLOADED, true)], SnapshotPhase::Running),
            (&[Succeeded], &[(UPLOADED, true)], SnapshotPhase::Succeeded),
            (&[Failed], &[(UPLOADED, true)], SnapshotPhase::Failed),
            (&[Succeeded], &[(UPLOADED, false)], SnapshotPhase::Failed),
            (&[Succeeded], &[(UPLOADED, true), (RECENT_SNAPSHOT_LIST_UPDATED, false)], SnapshotPhase::Failed),
            (&[], &[(BACKUP_INCOMPLETE, true)], SnapshotPhase::Failed),
        ];
        for (phases, conditions, wanted) in rows {
            let components: Vec<_> = phases.iter().map(|phase| component(*phase)).collect();
            assert_eq!(status(Some(1), &components, conditions).compute_phase(), wanted, "{phases:?} {conditions:?}");
        }
    }

    #[test]
    fn a_backup_has_ended_when_all_components_have() {
        use ComponentPhase::{Failed, Running, Succeeded};
        let rows: [(Option<i32>, &[ComponentPhase], bool); 6] = [
            (None, &[], false),
            (Some(1), &[Succeeded], true),
            (Some(2), &[Failed, Succeeded], true),
            (Some(2), &[Failed, Running], false),
            (Some(3), &[Failed, Succeeded], false),
            (None, &[Failed], true),
        ];
        for (total, phases, wanted) in rows {
            let components: Vec<_> = phases.iter().map(|phase| component(*phase)).collect();
            assert_eq!(status(total, &components, &[]).is_backed_up(), wanted, "{phases:?} of {total:?}");
        }
    }

    #[test]
    fn integrity_is_unknown_as_long_as_one_is() {
        let with = |driver: Driver, integrity| Component { driver: Some(driver), integrity, ..Component::default() };
        let rows = [
            (vec![], None),
            (vec![with(Driver::Restic, Some(true)), with(Driver::Restic, None)], None),
            (vec![with(Driver::KStash, None)], None),
            (vec![with(Driver::Restic, Some(true)), with(Driver::WalG, None)], Some(true)),
            (vec![with(Driver::Restic, Some(true)), with(Driver::Restic, Some(false))], Some(false)),
        ];
        for (components, wanted) in rows {
            assert_eq!(status(None, &components, &[]).compute_integrity(), wanted, "{components:?}");
        }
    }

    #[test]
    fn sizes_add_up() {
        let with = |driver: Driver, size: Option<&str>| Component { driver: Some(driver), size: size.map(str::to_owned), ..Component::default() };
        let rows = [
            (vec![], Some("0 B")),
            (
                vec![with(Driver::Restic, Some("10.242 MiB")), with(Driver::Restic, Some("1.979 MiB")), with(Driver::Restic, Some("809 B"))],
                Some("12.222 MiB"),
            ),
            (vec![with(Driver::Restic, Some("1 B")), with(Driver::Restic, None)], None),
            (vec![with(Driver::Restic, Some("1 B")), with(Driver::Solr, None)], Some("1 B")),
        ];
        for (components, wanted) in rows {
            assert_eq!(status(None, &components, &[]).compute_size().as_deref(), wanted, "{components:?}");
        }
    }
}
