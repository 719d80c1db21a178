//! Putting objects back: plan, order, apply, report.
