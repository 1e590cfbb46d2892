//! The loops of this process that run the steps, as far as they do not go on. A panic in a step ends nobody
//! else's work; a step that only panics any more is one that the process cannot do.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// So many panics in a row are no accident.
const IN_A_ROW: u32 = 3;

/// Shared by all loops of a process.
#[derive(Clone, Debug, Default)]
pub struct Loops(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Whether anything is amiss: mostly nothing is.
    is_any: AtomicBool,
    amiss: Mutex<BTreeMap<&'static str, u32>>,
}

/// One loop. Where it is dropped before its end, it does not go on.
#[derive(Debug)]
pub struct Running {
    loops: Loops,
    name: &'static str,
    panics: u32,
    is_over: bool,
}

impl Loops {
    /// A loop begins.
    pub fn begin(&self, name: &'static str) -> Running {
        Running {
            loops: self.clone(),
            name,
            panics: 0,
            is_over: false,
        }
    }

    /// The name of a loop that does not go on, if there is one.
    pub fn amiss(&self) -> Option<&'static str> {
        if !self.0.is_any.load(Ordering::Relaxed) {
            return None;
        }
        self.with(|amiss| amiss.keys().next().copied())
    }

    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<&'static str, u32>) -> T) -> T {
        let mut amiss = self.0.amiss.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = look(&mut amiss);
        self.0.is_any.store(!amiss.is_empty(), Ordering::Relaxed);
        answer
    }

    fn is_amiss(&self, name: &'static str) {
        self.with(|amiss| *amiss.entry(name).or_default() += 1);
    }
}

impl Running {
    /// Its step panicked.
    pub fn panicked(&mut self) {
        self.panics = self.panics.saturating_add(1);
        if self.panics == IN_A_ROW {
            self.loops.is_amiss(self.name);
        }
    }

    /// Its step came to its end.
    pub fn went_on(&mut self) {
        if std::mem::take(&mut self.panics) < IN_A_ROW {
            return;
        }
        let name = self.name;
        self.loops.with(|amiss| {
            if let Some(count) = amiss.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    amiss.remove(name);
                }
            }
        });
    }

    /// It was told to stop.
    pub fn stopped(mut self) {
        self.is_over = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over && self.panics < IN_A_ROW {
            self.loops.is_amiss(self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_only_panics_is_amiss_until_it_goes_on() {
        let loops = Loops::default();
        let (mut one, mut two) = (loops.begin("a"), loops.begin("a"));
        for loop_ in [&mut one, &mut two] {
            loop_.panicked();
            loop_.panicked();
            loop_.went_on();
            loop_.panicked();
            loop_.panicked();
        }
        assert_eq!(loops.amiss(), None);
        one.panicked();
        two.panicked();
        two.panicked();
        assert_eq!(loops.amiss(), Some("a"));
        one.went_on();
        assert_eq!(loops.amiss(), Some("a"));
        two.went_on();
        assert_eq!(loops.amiss(), None);
        one.stopped();
        assert_eq!(loops.amiss(), None);
        drop(two);
        assert_eq!(loops.amiss(), Some("a"));
    }
}
