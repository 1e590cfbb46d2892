//! Access tokens for others who call WeChat for the same account: lent with their remaining life,
//! and replaced when somebody reports the current one as bad.

use chrono::NaiveDateTime;
use subtle::ConstantTimeEq as _;

use super::{OpenAccount, Token, TokenError, Tokens};

/// What a report of a bad token came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// It was the current one; there is another now.
    Replaced,
    /// It is not the current one, so nothing was done.
    NotCurrent,
    /// It was the current one, and WeChat, asked for a new one, gave the same: to WeChat it is good.
    StillGood,
}

impl Report {
    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::NotCurrent => "not_current",
            Self::StillGood => "still_good",
        }
    }
}

impl Token {
    /// Seconds for which WeChat still accepts it.
    pub fn seconds_left(&self, now: NaiveDateTime) -> i64 {
        (self.expires_at - now).num_seconds().max(0)
    }
}

impl Tokens {
    /// The current token, also if another replica has replaced the one in this one's memory:
    /// unlike a call of our own, a borrower's is not repeated when WeChat refuses it.
    ///
    /// # Errors
    /// As [`Tokens::get`].
    pub async fn current(&self, account: &OpenAccount) -> Result<Token, TokenError> {
        let stored = self.stored(account.id).await?;
        let generation = stored.map(|stored| stored.generation);
        self.known.keep_only(account.id, generation);
        self.get(account).await
    }

    /// Throws a token away that somebody found bad, if it is the current one, and fetches the next.
    ///
    /// # Errors
    /// If the database does not answer. Or as [`Tokens::get`]: the token is thrown away then, and
    /// the next one is fetched when it is asked for.
    pub async fn report(&self, account: &OpenAccount, bad: &str) -> Result<Report, TokenError> {
        let stored = self.stored(account.id).await?;
        let current = self.open(account, stored);
        let Some(current) = current.filter(|token| is_same(token, bad)) else {
            return Ok(Report::NotCurrent);
        };
        // Of several who report it at once, one throws it away.
        if !self.invalidate(account.id, current.generation).await? {
            return Ok(Report::NotCurrent);
        }
        let next = self.get(account).await?;
        Ok(match is_same(&next, bad) {
            true => Report::StillGood,
            false => Report::Replaced,
        })
    }
}

fn is_same(token: &Token, text: &str) -> bool {
    token
        .value
        .expose()
        .as_bytes()
        .ct_eq(text.as_bytes())
        .into()
}
