//! Numbers as kubectl prints them.

use std::io::Write as _;

/// Appends a JSON number in kubectl's spelling: integers that fit 64 bits as they are, whole floats below 1e21 that fit as
/// integers, everything else in the shortest form that reads back, with an exponent below 1e-4 and from 1e6 on.
/// Source: Go's `strconv.FormatFloat(f, 'g', -1, 64)` behind a JSON round trip.
pub(super) fn write(text: &str, out: &mut Vec<u8>) {
    if text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok() {
        out.extend_from_slice(if text == "-0" { b"0" } else { text.as_bytes() });
        return;
    }
    let Ok(float) = text.parse::<f64>() else {
        return out.extend_from_slice(text.as_bytes());
    };
    if float == 0.0 {
        // Go's JSON encoder prints minus zero as `-0`, which reads as the integer zero.
        return out.push(b'0');
    }
    if !float.is_finite() {
        return out.extend_from_slice(if float > 0.0 { b".inf" } else { b"-.inf" });
    }
    if float.fract() == 0.0 && float.abs() < 1e21 {
        let whole = format!("{float:.0}");
        if whole.parse::<i64>().is_ok() || whole.parse::<u64>().is_ok() {
            return out.extend_from_slice(whole.as_bytes());
        }
    }
    general(float, out);
}

/// The shortest digits that read back, in `%e` form when the exponent is below -4 or above 5.
fn general(float: f64, out: &mut Vec<u8>) {
    let scientific = format!("{float:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return out.extend_from_slice(scientific.as_bytes());
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        let _ = write!(out, "{float}");
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{digits}e{sign}{:02}", exponent.abs());
    }
}
