//! Pages of a list: `?limit=&cursor=` in, `{items, next_cursor}` out.
//!
//! A cursor is opaque to callers. It holds the list it belongs to and the row id where the next
//! page starts; everything else about who may see what is decided again for each request.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{Code, Problem};
use crate::models::walk::Walked;

/// Items of a page, unless the caller says otherwise.
pub(super) const LIMIT_DEFAULT: i64 = 50;
/// Items of a page at the most.
pub(super) const LIMIT_MAX: i64 = 200;

/// The lists that have pages. The byte goes into the cursor, so that one list's cursor is refused
/// by the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum List {
    Staff = b's',
    People = b'p',
    MessageTypes = b'm',
    Notifications = b'n',
    Deliveries = b'd',
    AllDeliveries = b'a',
    Events = b'e',
    Audit = b'u',
    Templates = b't',
    Credits = b'c',
    Invitations = b'i',
    Webhooks = b'w',
    WebhookMessages = b'x',
    Moved = b'o',
    Users = b'r',
}

/// The query string of a list that has no filters.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    limit: Option<String>,
    cursor: Option<String>,
}

impl PageQuery {
    /// The page of this list that it asks for.
    pub(super) fn paging(&self, list: List) -> Result<Paging, Problem> {
        Paging::read(list, &self.limit, &self.cursor)
    }
}

/// One page that a caller asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paging {
    list: List,
    limit: i64,
    /// The row id at which the page before ended.
    pub(super) after: Option<i64>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// The rows.
    items: Vec<T>,
    /// What to ask the next page with; null on the last one. A page may have fewer items than were
    /// asked for, and go on nevertheless.
    next_cursor: Option<String>,
}

impl Paging {
    /// The page that `limit` and `cursor` of a query string ask for.
    pub(super) fn read(
        list: List,
        limit: &Option<String>,
        cursor: &Option<String>,
    ) -> Result<Self, Problem> {
        let first = Self::first(list, limit)?;
        let after = read(list, cursor.as_deref())?;
        Ok(Self { after, ..first })
    }

    /// The first page, for a list whose cursors hold more than an id.
    pub(super) fn first(list: List, limit: &Option<String>) -> Result<Self, Problem> {
        let limit = match limit {
            None => LIMIT_DEFAULT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=LIMIT_MAX).contains(limit))
                .ok_or_else(|| {
                    let detail = format!("limit must be a whole number from 1 to {LIMIT_MAX}.");
                    Problem::new(Code::InvalidQuery, detail)
                        .field("limit")
                        .limit(LIMIT_MAX.unsigned_abs() as usize)
                })?,
        };
        Ok(Self {
            list,
            limit,
            after: None,
        })
    }

    /// How many items the page may have.
    pub(super) fn limit(&self) -> i64 {
        self.limit
    }

    /// The page of what was found, and where it goes on.
    pub(super) fn page<R, T>(&self, walked: Walked<R>, show: impl FnMut(R) -> T) -> Page<T> {
        let next = self.cursor(walked.next);
        Page::new(walked.found.into_iter().map(show).collect(), next)
    }

    /// The cursor of a page that goes on below this id.
    pub(super) fn cursor(&self, next: Option<i64>) -> Option<String> {
        next.map(|id| encode(self.list, id))
    }

    /// How many rows to load: one more than the page has, to know whether it is the last.
    pub(super) fn rows(&self) -> i64 {
        self.limit + 1
    }

    /// Cuts the rows to the page and makes the cursor for the next one.
    pub(super) fn cut<R>(&self, rows: &mut Vec<R>, id: impl Fn(&R) -> i64) -> Option<String> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        if rows.len() <= limit {
            return None;
        }
        rows.truncate(limit);
        rows.last().map(|row| encode(self.list, id(row)))
    }
}

impl<T> Page<T> {
    pub(super) fn new(items: Vec<T>, next_cursor: Option<String>) -> Self {
        Self { items, next_cursor }
    }
}

/// The row id at which the page before ended.
pub(super) fn read(list: List, cursor: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some(cursor) = cursor else {
        return Ok(None);
    };
    decode(list, cursor).map(Some).ok_or_else(invalid)
}

/// The refusal of what is no cursor of the list.
pub(super) fn invalid() -> Problem {
    let detail = "Take cursor from next_cursor of the same list, unchanged.";
    Problem::new(Code::InvalidCursor, detail).field("cursor")
}

/// What is read as a cursor of one list is a cursor of no other, and is written the same.
pub(super) fn fuzz(text: &str) {
    let lists = [List::Staff, List::Deliveries, List::Events, List::Moved];
    let read = lists.map(|list| (list, decode(list, text)));
    let mut found = read.into_iter().filter_map(|(list, id)| Some((list, id?)));
    if let Some((list, id)) = found.next() {
        assert_eq!(encode(list, id), text);
        assert!(id > 0 && found.next().is_none(), "a cursor of two lists");
    }
}

/// The numbers of a page's place, where it takes several.
pub(super) fn read_all<const N: usize>(
    list: List,
    cursor: Option<&str>,
) -> Result<Option<[i64; N]>, Problem> {
    let Some(cursor) = cursor else {
        return Ok(None);
    };
    decode_all(list, cursor).map(Some).ok_or_else(invalid)
}

pub(super) fn encode(list: List, id: i64) -> String {
    encode_all(list, &[id])
}

pub(super) fn encode_all(list: List, numbers: &[i64]) -> String {
    let mut bytes = vec![list as u8];
    for number in numbers {
        bytes.extend(number.to_be_bytes());
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(list: List, cursor: &str) -> Option<i64> {
    let [id] = decode_all(list, cursor)?;
    (id > 0).then_some(id)
}

fn decode_all<const N: usize>(list: List, cursor: &str) -> Option<[i64; N]> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (tag, rest) = bytes.split_first()?;
    let (numbers, left_over) = rest.as_chunks::<8>();
    let numbers: Vec<i64> = numbers
        .iter()
        .map(|bytes| i64::from_be_bytes(*bytes))
        .collect();
    let is_one = *tag == list as u8 && left_over.is_empty();
    numbers.try_into().ok().filter(|_| is_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_list_only() {
        let cursor = encode(List::Staff, i64::MAX);
        assert_eq!(decode(List::Staff, &cursor), Some(i64::MAX));
        assert_eq!(decode(List::Events, &cursor), None);
        let several = encode_all(List::People, &[3, 0, -1]);
        assert_eq!(decode_all(List::People, &several), Some([3, 0, -1]));
        assert_eq!(decode_all::<2>(List::People, &several), None);
        assert_eq!(decode_all::<3>(List::Staff, &several), None);
        assert_eq!(decode(List::People, &several), None);
        for forged in [
            "",
            "AAAA",
            "c3RhZmY",
            &format!("{cursor}A"),
            "c____________",
            "\0",
        ] {
            assert_eq!(decode(List::Staff, forged), None, "{forged}");
        }
    }

    #[test]
    fn a_page_is_the_last_when_nothing_is_left_over() {
        let paging = Paging::first(List::Staff, &Some("2".to_owned())).unwrap();
        let mut rows = vec![9, 8];
        assert_eq!(paging.cut(&mut rows, |row| *row), None);
        let mut rows = vec![9, 8, 7];
        let cursor = paging.cut(&mut rows, |row| *row).unwrap();
        assert_eq!(rows, [9, 8]);
        assert_eq!(decode(List::Staff, &cursor), Some(8));
    }

    #[test]
    fn a_limit_out_of_range_is_refused() {
        for limit in ["0", "201", "-1", "many", "", "1.5"] {
            let given = Some(limit.to_owned());
            assert!(Paging::first(List::Staff, &given).is_err(), "{limit}");
        }
    }
}
