//! Numbers as kubectl prints them.

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
    out.extend_from_slice(spell(float).as_bytes());
}

fn spell(float: f64) -> String {
    let sign = if float < 0.0 { "-" } else { "" };
    let Decimal { digits, exponent } = Decimal::shortest(float.abs());
    let decimal = |exponent: i32| match usize::try_from(exponent) {
        Err(_) => format!("{sign}0.{}{digits}", "0".repeat(exponent.unsigned_abs() as usize - 1)),
        Ok(whole) if digits.len() <= whole + 1 => format!("{sign}{digits}{}", "0".repeat(whole + 1 - digits.len())),
        Ok(whole) => format!("{sign}{}.{}", digits.get(..=whole).unwrap_or_default(), digits.get(whole + 1..).unwrap_or_default()),
    };
    if float.fract() == 0.0 && exponent < 21 {
        let whole = decimal(exponent);
        if whole.parse::<i64>().is_ok() || whole.parse::<u64>().is_ok() {
            return whole;
        }
    }
    if (-4..6).contains(&exponent) {
        return decimal(exponent);
    }
    let (first, rest) = digits.split_at_checked(1).unwrap_or_default();
    let (point, direction) = (if rest.is_empty() { "" } else { "." }, if exponent < 0 { '-' } else { '+' });
    format!("{sign}{first}{point}{rest}e{direction}{:02}", exponent.abs())
}

/// `0.digits` times ten to the power of `exponent + 1`.
struct Decimal {
    digits: String,
    exponent: i32,
}

impl Decimal {
    /// The fewest digits that read back as this positive float; of two as near to it the even one, as Go and serde_json choose and the
    /// standard library does not.
    fn shortest(float: f64) -> Self {
        let text = serde_json::Number::from_f64(float).map(|number| number.to_string()).unwrap_or_default();
        let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0');
        let leading = all.len() - digits.len();
        let point = i32::try_from(whole.len()).unwrap_or(0) - i32::try_from(leading).unwrap_or(0);
        Self { digits: digits.trim_end_matches('0').to_owned(), exponent: point - 1 + power.parse::<i32>().unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_kubectl_prints_them() {
        for (json, yaml) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("1.0", "1"),
            ("1e3", "1000"),
            ("-1.5", "-1.5"),
            ("0.1", "0.1"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("123456.25", "123456.25"),
            ("1234567.5", "1.2345675e+06"),
            ("1e20", "1e+20"),
            ("1e21", "1e+21"),
            ("1e300", "1e+300"),
            ("5e-324", "5e-324"),
            ("1e400", ".inf"),
            ("18446744073709551615", "18446744073709551615"),
            ("-6.630643510743853e17", "-663064351074385300"),
            ("1519300511933564.25", "1.5193005119335642e+15"),
            ("123456.000244140625", "123456.00024414062"),
        ] {
            let mut out = Vec::new();
            write(json, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), yaml, "{json}");
        }
    }
}
