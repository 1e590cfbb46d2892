//! The columns of a table of staff, also by the names that they have in Chinese companies.

use crate::bridge::people::staff_table::{Raw, cells};
use crate::cli::table::{Column, plain};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StaffColumn {
    StaffId,
    Name,
    Tags,
    Phone,
    AppId,
    Openid,
    Unionid,
}

impl Column for StaffColumn {
    type Row = Raw;
    const KNOWN: &'static str = "staff_id (工号), name (姓名), tags (标签), phone (手机号), app_id, openid and \
                                 unionid";

    fn key() -> Self {
        Self::StaffId
    }

    fn named(name: &str) -> Option<Self> {
        Some(match plain(name).as_str() {
            "staffid" | "employeeid" | "employeenumber" | "employeeno" | "工号" | "员工工号"
            | "员工编号" | "员工号" | "员工id" | "职工号" | "职工编号" | "人员编号" => {
                Self::StaffId
            }
            "name" | "姓名" | "员工姓名" | "名字" => Self::Name,
            "tags" | "tag" | "标签" | "员工标签" => Self::Tags,
            "phone" | "mobile" | "phonenumber" | "手机号" | "手机" | "手机号码" | "电话"
            | "电话号码" | "联系电话" => Self::Phone,
            "appid" | "公众号appid" | "小程序appid" => Self::AppId,
            "openid" | "微信openid" => Self::Openid,
            "unionid" | "微信unionid" => Self::Unionid,
            _ => return None,
        })
    }

    fn name(&self) -> String {
        let name = match self {
            Self::StaffId => "staff_id",
            Self::Name => "name",
            Self::Tags => "tags",
            Self::Phone => "phone",
            Self::AppId => "app_id",
            Self::Openid => "openid",
            Self::Unionid => "unionid",
        };
        name.to_owned()
    }

    fn put(&self, row: &mut Raw, text: String) {
        match self {
            Self::StaffId => row.staff_id = Some(text),
            Self::Name => row.name = Some(text),
            // An empty cell says nothing, as in the other columns.
            Self::Tags => row.tags = Some(cells::split_tags(&text)).filter(|tags| !tags.is_empty()),
            Self::Phone => row.phone = Some(text),
            Self::AppId => row.app_id = Some(text),
            Self::Openid => row.openid = Some(text),
            Self::Unionid => row.unionid = Some(text),
        }
    }

    fn of_csv(text: String) -> String {
        cells::unguarded(&text).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::people::staff_table::cells::COLUMNS;
    use crate::bridge::people::table::Fault;
    use crate::cli::table::{Others, rows_of};

    fn read(text: &str, others: Others) -> anyhow::Result<Vec<(usize, Result<Raw, Fault>)>> {
        rows_of::<StaffColumn>(text.as_bytes().to_vec(), None, others)
    }

    #[test]
    fn a_table_of_a_chinese_company_is_read() {
        let rows = read(
            "\u{feff}工号,姓 名,标签,手机号\r\n007,张三,\"仓库、夜班\",'+86 138 0013 8000\r\n008,李四,,\r\n",
            Others::Refused,
        );
        let rows = rows.unwrap();
        let expected = Raw {
            staff_id: Some("007".to_owned()),
            name: Some("张三".to_owned()),
            tags: Some(vec!["仓库".to_owned(), "夜班".to_owned()]),
            phone: Some("+86 138 0013 8000".to_owned()),
            ..Raw::default()
        };
        assert_eq!(rows[0], (2, Ok(expected)));
        assert_eq!(rows[1].1.as_ref().unwrap().tags, None);
    }

    #[test]
    fn every_column_that_is_given_out_is_taken_in() {
        for name in COLUMNS {
            assert_eq!(StaffColumn::named(name).unwrap().name(), name);
        }
    }

    #[test]
    fn other_columns_are_named_or_passed_over() {
        let text = "工号,部门,入职日期\n007,销售,2020-01-01\n";
        let error = read(text, Others::Refused).unwrap_err().to_string();
        assert!(error.contains("部门") && error.contains("工号"), "{error}");
        let rows = read(text, Others::Ignored).unwrap();
        assert_eq!(rows[0].1.as_ref().unwrap().staff_id.as_deref(), Some("007"));
        assert!(read("姓名\n张三\n", Others::Ignored).is_err());
    }
}
