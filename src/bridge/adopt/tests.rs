use super::*;

fn rows(told: &[(&str, Option<&str>)]) -> Vec<Numbered> {
    let rows = told.iter().enumerate().map(|(at, (openid, unionid))| {
        let raw = Raw {
            openid: Some((*openid).to_owned()),
            unionid: unionid.map(str::to_owned),
            ..Raw::default()
        };
        Numbered::new(at, Ok(raw))
    });
    rows.collect()
}

#[test]
fn of_two_rows_for_one_person_the_first_counts() {
    let found = each_once(rows(&[
        ("oA", Some("uA")),
        ("oB", None),
        ("oA", None),
        ("oC", Some("uA")),
        ("oC", Some("uC")),
        ("oD", None),
        ("oE", None),
    ]));
    let faults: Vec<_> = found
        .iter()
        .filter_map(|row| {
            let fault = row.row.as_ref().err()?;
            Some((row.number, fault.field.as_deref()?, fault.code))
        })
        .collect();
    let expected = [
        (2, "openid", "duplicate"),
        (3, "unionid", "duplicate"),
        (4, "openid", "duplicate"),
    ];
    assert_eq!(faults, expected);
    let detail = &found[2].row.as_ref().unwrap_err().detail;
    assert!(detail.starts_with("Row 0"), "{detail}");
}
