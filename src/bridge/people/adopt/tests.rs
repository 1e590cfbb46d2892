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

#[test]
fn a_part_has_so_many_rows_and_consents_together() {
    let row = |number, consents: usize| {
        let consents = (0..consents).map(|one| (format!("T{one}"), "1".to_owned()));
        let raw = Raw {
            openid: Some(format!("o{number}")),
            consents: consents.collect(),
            ..Raw::default()
        };
        Numbered::new(number, Ok(raw))
    };
    let sizes = |count: usize, consents: usize| {
        let rows: Vec<Numbered> = (0..count).map(|number| row(number, consents)).collect();
        let mut rows = rows.into_iter().peekable();
        let mut sizes = Vec::new();
        while rows.peek().is_some() {
            sizes.push(next_chunk(&mut rows).len());
        }
        sizes
    };
    assert_eq!(sizes(2_001, 0), [1_000, 1_000, 1]);
    assert_eq!(sizes(100, 19), [50, 50]);
}
