use anyhow::Result;

use super::*;
use crate::bridge::people::adopt::Numbered;
use crate::cli::table::{Others, rows_of};

fn read_bytes(bytes: &[u8], sheet: Option<&str>) -> Result<Vec<Numbered>> {
    let rows = rows_of::<IdentityColumn>(bytes.to_vec(), sheet, Others::Refused)?.into_iter();
    Ok(rows
        .map(|(number, raw)| Numbered::new(number, raw))
        .collect())
}

fn read(text: &str) -> Result<Vec<Numbered>> {
    read_bytes(text.as_bytes(), None)
}

fn shown(text: &str) -> Vec<String> {
    let rows = read(text).unwrap();
    let shown = rows.iter().map(|row| match &row.row {
        Ok(read) => format!(
            "{}: {} {} {} {:?}",
            row.number,
            read.openid,
            read.unionid.as_deref().unwrap_or("-"),
            read.staff_id.as_deref().unwrap_or("-"),
            read.consents
        ),
        Err(fault) => format!("{}: {}", row.number, fault.field.as_deref().unwrap_or("-")),
    });
    shown.collect()
}

#[test]
fn a_table_is_read_as_spreadsheets_write_it() {
    let expected = [
        r#"2: oA uA s1 {"T1": Some(2), "T2": None}"#,
        "4: oB - - {}",
        r#"5: oC - 张三 {"T1": Some(0)}"#,
    ];
    let plain = "openid,unionid,staff_id,consents.T1,consents.T2\noA,uA,s1,2,long_term\n,,,,\noB\noC,,张三,0,\n";
    assert_eq!(shown(plain), expected);
    assert_eq!(shown(&format!("\u{feff}{plain}")), expected);
    assert_eq!(shown(&plain.replace('\n', "\r\n")), expected);
    assert_eq!(shown(&plain.replace(',', ";")), expected);
    assert_eq!(shown(&plain.replace(',', "\t")), expected);
    let renamed = plain.replacen("openid,unionid,staff_id", "OpenID, Union_Id ,staffId", 1);
    assert_eq!(shown(&renamed), expected);
    let quoted = plain.replacen("oA,uA,s1", "\"oA\",\"uA\",\"s1\"", 1);
    assert_eq!(shown(&quoted), expected);
}

#[test]
fn a_row_that_does_not_fit_is_refused_alone() {
    let rows = "openid,consents.T\noA,1,more\nundefined,1\n oB ,1\noC,yes\noD,1,\n";
    let expected = [
        "2: -",
        "3: openid",
        "4: openid",
        "5: consents.T",
        "6: oD - - {\"T\": Some(1)}",
    ];
    assert_eq!(shown(rows), expected);
}

#[test]
fn a_file_that_is_no_table_is_refused_in_words() {
    for (bytes, said) in [
        (&b""[..], "empty"),
        (b"openid\n", "no rows"),
        (b"name,unionid\noA,uA\n", "\"name\" is not known"),
        (b"unionid\nuA\n", "no column openid"),
        (b"openid,OPENID\noA,oB\n", "two columns"),
        (b"openid,consents.\noA,1\n", "not known"),
        (b"openid,staff_id\noA,\xd5\xc5\xc8\xfd\n", "CSV UTF-8"),
        (b"\xff\xfeo\0p\0e\0n\0i\0d\0", "CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ".xlsx"),
        (b"PK\x03\x04 no", "no sound XLSX"),
    ] {
        let error = read_bytes(bytes, None).unwrap_err();
        assert!(format!("{error:#}").contains(said), "{error:#}");
    }
    assert!(read_bytes(b"openid\noA\n", Some("Sheet1")).is_err());
}

#[test]
fn many_empty_cells_are_too_many() {
    let text = format!("openid\n{}", format!("{}\n", ",".repeat(9_999)).repeat(501));
    let error = read(&text).unwrap_err();
    assert!(error.to_string().contains("cells"), "{error}");
}
