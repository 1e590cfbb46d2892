use super::Type;

const ENUMERATION: [&str; 2] = ["客厅", "卧室"];

fn accepts(key: &str, value: &str) -> bool {
    let listed = ENUMERATION.map(str::to_owned);
    Type::of_key(key).accepts(value, &listed)
}

fn check(key: &str, good: &[&str], bad: &[&str]) {
    for value in good {
        assert!(accepts(key, value), "{key} refuses {value:?}");
    }
    for value in bad {
        assert!(!accepts(key, value), "{key} takes {value:?}");
    }
}

#[test]
fn words() {
    let (twenty, longer) = ("字".repeat(20), "字".repeat(21));
    check(
        "thing1",
        &["会员卡到期提醒", "A-1 #!", &twenty, " "],
        &[&longer, "a\nb", "a\u{2}b", &"😀".repeat(11)],
    );
    check(
        "letter2",
        &["ABCxyz"],
        &["AB1", "字母", "A B", &"a".repeat(33)],
    );
    check("symbol3", &["#!", "￥"], &["a!", "1", "######"]);
    check(
        "character_string4",
        &["SF1234-88", &"1".repeat(32)],
        &["单号1", &"1".repeat(33)],
    );
    check(
        "phrase5",
        &["配送中"],
        &["配送中A", "已经配送完成了", "done"],
    );
    check(
        "name6",
        &["张三", "Ann Lee", &"字".repeat(10), &"a".repeat(20)],
        &[
            &"字".repeat(11),
            &"a".repeat(21),
            "Ann Lee 张三四五",
            "张三2",
        ],
    );
    check("enum_string7", &ENUMERATION, &["厨房", "客厅 "]);
    check("const8", &["客厅"], &["x"]);
}

#[test]
fn numbers() {
    check(
        "number1",
        &["12", "3.50", &"9".repeat(32)],
        &["1,000", "12个", ".5", "1.", "1.2.3", "-1", &"9".repeat(33)],
    );
    check(
        "amount2",
        &["￥100.21", "100元", "$5", "₩1000", "1234567890", "0.01"],
        &["￥￥5", "12345678901", "五元", "100 元整", "元"],
    );
    check(
        "phone_number3",
        &["+86-0766-66888866", "13800138000"],
        &["电话123", "123456789012345678", "ext12"],
    );
    check(
        "car_number4",
        &["粤A8Z888挂", "A12345"],
        &["粤A粤8888", "粤A8Z8888挂", "粤A-888"],
    );
}

#[test]
fn moments() {
    check(
        "time1",
        &[
            "15:01",
            "15:01:59",
            "2026年1月5日 15:01",
            "2026-01-01 12:00",
            "15:01~16:00",
        ],
        &[
            "24:00",
            "15:60",
            "3pm",
            "2026-01-05",
            "15",
            "15:01~",
            "15:1",
            "15:01:02:03",
        ],
    );
    check(
        "date2",
        &[
            "2026-01-05",
            "2026.01.05 15:01",
            "2026/1/5",
            "2026年1月5日",
            "2026年10月",
            "2026-10",
            "01-05",
            "1月5日",
            "2026年1月5日~2026年1月7日",
        ],
        &[
            "2026-13-05",
            "2026-01-32",
            "明天",
            "2026-01/05",
            "15:01",
            "2026",
            "26-01-05",
            "02026-01-05",
            "2026-001-05",
            "2026-01-05 25:00",
        ],
    );
}

#[test]
fn names_of_the_old_library_are_not_checked() {
    check("keyword1", &["\n", "anything"], &[]);
    check("first", &["😀"], &[]);
    check("date", &["tomorrow"], &[]);
}
