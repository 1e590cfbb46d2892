//! Every way of a delivery from one state to another.
//!
//! [`Arrow`] lists them, as `docs/delivery-states.md` draws them, and a test holds the two to each other. Each arrow is a
//! function of this folder with the arrow's name, and nothing else writes `deliveries.state`. Where outcomes of many
//! kinds come in one batch, the function of an arrow makes a row, and one statement writes the rows of several arrows:
//! [`insert_many`], [`record`], [`part`], [`close_by_receipts`]. A statement that does not find the state from which its
//! arrow leads changes nothing.

mod cancel;
mod insert;
mod outcome;
mod part;
mod receipts;
mod requeue;

use super::DeliveryState::{
    self, Cancelled, Delivered, Expired, Failed, NoReceipt, Queued, Sent, Unknown, Unreachable,
};

pub(super) use cancel::cancelled;
pub(in crate::models) use cancel::erased;
pub use insert::{
    NewDelivery, PlannedRoute, Recipient, SharedByNotification, accepted, insert_many, not_reached,
};
pub use outcome::{
    Outcome, Why, arrived, cancelled_while_tried, expired, perhaps_sent, record, refused, taken,
    tried_again,
};
pub use part::{Ending, Parted, part, parted_failed, parted_unknown, parted_unreachable};
pub use receipts::ClosedByReceipt;
pub(super) use receipts::{
    ByReceipt, Overdue, close_by_receipts, receipt_arrived, receipt_failed, receipt_missing,
};
pub use requeue::{RetryRow, moved_on, retried};

macro_rules! arrows {
    ($($(#[$doc:meta])* $arrow:ident = $name:literal: $from:expr => $to:ident;)+) => {
        /// A way from one state to another, named after what became of the delivery.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Arrow {
            $($(#[$doc])* $arrow,)+
        }

        impl Arrow {
            /// Every arrow.
            pub const ALL: &[Self] = &[$(Self::$arrow),+];

            /// Its name, which is that of its function too.
            pub fn name(self) -> &'static str {
                match self { $(Self::$arrow => $name),+ }
            }

            /// The states from which it leads; none: it begins a delivery.
            pub fn from(self) -> &'static [DeliveryState] {
                match self { $(Self::$arrow => &$from),+ }
            }

            /// The state to which it leads.
            pub fn to(self) -> DeliveryState {
                match self { $(Self::$arrow => $to),+ }
            }
        }
    };
}

arrows! {
    /// A request is accepted, and a route leads to the person, or lacks only their consent.
    Accepted = "accepted": [] => Queued;
    /// A request is accepted, and no route leads to the person.
    NotReached = "not_reached": [] => Unreachable;
    /// A try failed in a way that may pass.
    TriedAgain = "tried_again": [Queued] => Queued;
    /// WeChat accepted the message, and its receipt is to come.
    Taken = "taken": [Queued] => Sent;
    /// The message was accepted, on a channel without receipts.
    Arrived = "arrived": [Queued] => Delivered;
    /// A try was refused for good, or was the last one.
    Refused = "refused": [Queued] => Failed;
    /// A try may have been taken, and cannot be repeated.
    PerhapsSent = "perhaps_sent": [Queued] => Unknown;
    /// Its time has passed before it was sent.
    Expired = "expired": [Queued] => Expired;
    /// It was cancelled, or its person erased, while it was being tried.
    CancelledWhileTried = "cancelled_while_tried": [Queued] => Cancelled;
    /// A late record of a try brings the msgid. [`record`] makes this of [`taken`].
    MsgidLearnt = "msgid_learnt": [Sent, Unknown, NoReceipt] => Sent;
    /// A late record says that a try was taken. [`record`] makes this of [`arrived`].
    ArrivalLearnt = "arrival_learnt": [Unknown] => Delivered;
    /// It was planned again before its first try, and no route leads to the person any more.
    PartedUnreachable = "parted_unreachable": [Queued] => Unreachable;
    /// It was planned again after a try, and no route leads to the person any more.
    PartedFailed = "parted_failed": [Queued] => Failed;
    /// It is for somebody else by now, and a try for the former person may have been taken.
    PartedUnknown = "parted_unknown": [Queued] => Unknown;
    /// Another of its routes leads to the person.
    MovedOn = "moved_on": [Queued, Failed] => Queued;
    /// It was retried by hand.
    Retried = "retried": [Failed, Unreachable, Unknown, NoReceipt] => Queued;
    /// WeChat's receipt says that it arrived.
    ReceiptArrived = "receipt_arrived": [Sent, NoReceipt] => Delivered;
    /// WeChat's receipt says that it did not arrive.
    ReceiptFailed = "receipt_failed": [Sent, NoReceipt] => Failed;
    /// No receipt came in time.
    ReceiptMissing = "receipt_missing": [Sent] => NoReceipt;
    /// Its notification was cancelled.
    Cancelled = "cancelled": [Queued] => Cancelled;
    /// Its person was erased.
    Erased = "erased": [Queued] => Cancelled;
}
