//! A bound on the bytes of the callbacks that this process holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that may be taken together. Clones share them.
#[derive(Clone, Debug)]
pub struct Rooms {
    taken: Arc<AtomicUsize>,
    most: usize,
}

/// A share of the bytes, given back when it is dropped.
#[derive(Debug)]
pub struct Room {
    taken: Arc<AtomicUsize>,
    most: usize,
    bytes: usize,
    /// The same share of a smaller bound.
    also: Option<Box<Room>>,
}

impl Rooms {
    /// So many bytes at the most.
    pub fn of(most: usize) -> Self {
        Self {
            taken: Arc::default(),
            most,
        }
    }

    /// Takes so many bytes, if there is room for them. Who comes first is let in whatever the size.
    pub fn take(&self, bytes: usize) -> Option<Room> {
        let room = Room {
            taken: Arc::clone(&self.taken),
            most: self.most,
            bytes,
            also: None,
        };
        let before = self.taken.fetch_add(bytes, Ordering::Relaxed);
        // Where there is none, the drop of the room takes the bytes back.
        (before == 0 || before.saturating_add(bytes) <= self.most).then_some(room)
    }
}

impl Room {
    /// The same bytes are a share of another bound too.
    pub(super) fn and_of(mut self, also: Self) -> Self {
        self.also = Some(Box::new(also));
        self
    }

    /// Takes so many bytes more, if there is room for them. Who is alone is let on whatever the size.
    pub fn grow(&mut self, bytes: usize) -> bool {
        if let Some(also) = &mut self.also
            && !also.grow(bytes)
        {
            return false;
        }
        let before = self.taken.fetch_add(bytes, Ordering::Relaxed);
        let fits = before == self.bytes || before.saturating_add(bytes) <= self.most;
        if fits {
            self.bytes += bytes;
        } else {
            self.taken.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }

    /// Gives back what is over so many bytes.
    pub fn shrink(&mut self, bytes: usize) {
        if let Some(also) = &mut self.also {
            also.shrink(bytes);
        }
        let over = self.bytes.saturating_sub(bytes);
        self.bytes -= over;
        self.taken.fetch_sub(over, Ordering::Relaxed);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Rooms {
        fn left(&self) -> usize {
            self.most - self.taken.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn what_is_taken_is_counted_once_and_given_back() {
        let rooms = Rooms::of(100);
        let mut one = rooms.take(60).unwrap();
        assert!(rooms.take(41).is_none());
        assert_eq!(rooms.left(), 40);
        let two = rooms.take(30).unwrap();
        assert!(one.grow(10));
        assert!(!one.grow(1));
        assert_eq!(rooms.left(), 0);
        one.shrink(20);
        one.shrink(90);
        assert_eq!(rooms.left(), 50);
        drop((one, two));
        assert_eq!(rooms.left(), 100);
    }

    #[test]
    fn a_share_of_two_bounds_is_within_both() {
        let (all, few) = (Rooms::of(100), Rooms::of(20));
        let mut one = all.take(10).unwrap().and_of(few.take(10).unwrap());
        assert!(one.grow(5));
        let other = all.take(10).unwrap().and_of(few.take(5).unwrap());
        assert!(!one.grow(1), "the small one is full");
        one.shrink(5);
        assert_eq!((all.left(), few.left()), (85, 10));
        drop((one, other));
        assert_eq!((all.left(), few.left()), (100, 20));
    }

    #[test]
    fn who_is_alone_is_let_in_whatever_the_size() {
        let rooms = Rooms::of(10);
        let mut alone = rooms.take(11).unwrap();
        assert!(alone.grow(5));
        assert!(rooms.take(1).is_none());
        drop(alone);
        assert!(rooms.take(10).is_some());
    }
}
