//! Bounded tables whose entries have numbers that never recur, and lists that run through their entries.

use alloc::vec::Vec;

/// The index that names no entry.
const NONE: u32 = u32::MAX;

/// The number of an entry: its generation in the upper half, its index in the lower. Never 0, never all ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(pub(crate) u64);

impl Id {
    fn new(index: u32, generation: u32) -> Self {
        Self(u64::from(generation) << 32 | u64::from(index))
    }

    pub(crate) fn index(self) -> u32 {
        self.0 as u32
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// A table of at most so many entries, all of them allocated at the start.
pub(crate) struct Table<T> {
    entries: Vec<Entry<T>>,
    free: u32,
    used: usize,
}

struct Entry<T> {
    /// Counts the uses of this entry, from 1. The entry is given up when it saturates.
    generation: u32,
    next_free: u32,
    value: Option<T>,
}

impl<T> Table<T> {
    pub(crate) fn new(capacity: u32) -> Self {
        let mut entries = Vec::with_capacity(capacity as usize);
        let next = |index| if index + 1 < capacity { index + 1 } else { NONE };
        entries.extend((0..capacity).map(|index| Entry {
            generation: 1,
            next_free: next(index),
            value: None,
        }));
        Self { entries, free: if capacity > 0 { 0 } else { NONE }, used: 0 }
    }

    /// Takes an entry, unless all are taken.
    pub(crate) fn insert(&mut self, value: T) -> Option<Id> {
        let index = self.free;
        let entry = self.entries.get_mut(index as usize)?;
        self.free = entry.next_free;
        entry.value = Some(value);
        self.used += 1;
        Some(Id::new(index, entry.generation))
    }

    pub(crate) fn remove(&mut self, id: Id) -> Option<T> {
        self.get(id)?;
        let entry = &mut self.entries[id.index() as usize];
        let value = entry.value.take();
        if let Some(generation) = entry.generation.checked_add(1) {
            entry.generation = generation;
            entry.next_free = self.free;
            self.free = id.index();
        }
        self.used -= 1;
        value
    }

    pub(crate) fn get(&self, id: Id) -> Option<&T> {
        let entry = self.entries.get(id.index() as usize)?;
        entry.value.as_ref().filter(|_| entry.generation == id.generation())
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        let entry = self.entries.get_mut(id.index() as usize)?;
        entry.value.as_mut().filter(|_| entry.generation == id.generation())
    }

    /// How many entries are in use.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// The first entry in use from this index on.
    pub(crate) fn next_from(&self, index: u32) -> Option<Id> {
        let entries = self.entries.get(index as usize..)?;
        let (after, entry) = entries.iter().enumerate().find(|(_, entry)| entry.value.is_some())?;
        Some(Id::new(index + after as u32, entry.generation))
    }

    /// All entries in use. Linear in the capacity at worst: it looks no further than the last of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        let id = |index: usize, entry: &Entry<T>| Id::new(index as u32, entry.generation);
        self.entries
            .iter()
            .enumerate()
            .filter_map(move |(index, entry)| entry.value.as_ref().map(|value| (id(index, entry), value)))
            .take(self.used)
    }

    /// As [`iter`](Self::iter), to change them.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Id, &mut T)> {
        let entries = self.entries.iter_mut().enumerate().filter_map(|(index, entry)| {
            let id = Id::new(index as u32, entry.generation);
            entry.value.as_mut().map(|value| (id, value))
        });
        entries.take(self.used)
    }
}

/// The head of a list through the entries of one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct List(Option<Id>);

impl List {
    pub(crate) const EMPTY: Self = Self(None);

    pub(crate) fn head(self) -> Option<Id> {
        self.0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_none()
    }
}

/// An entry's place in one list.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Links {
    next: Option<Id>,
    previous: Option<Id>,
}

/// An entry that can be in lists, one for each value of `C`.
pub(crate) trait Linked<C> {
    fn links(&mut self, chain: C) -> &mut Links;
    fn next(&self, chain: C) -> Option<Id>;
}

impl Links {
    pub(crate) fn next(self) -> Option<Id> {
        self.next
    }
}

impl<T> Table<T> {
    /// Puts an entry at the front of a list that it is not in.
    pub(crate) fn push<C: Copy>(&mut self, list: &mut List, id: Id, chain: C)
    where
        T: Linked<C>,
    {
        let next = list.0;
        if let Some(entry) = next.and_then(|next| self.get_mut(next)) {
            entry.links(chain).previous = Some(id);
        }
        if let Some(entry) = self.get_mut(id) {
            *entry.links(chain) = Links { next, previous: None };
            list.0 = Some(id);
        }
    }

    /// Takes an entry out of a list that it is in.
    pub(crate) fn unlink<C: Copy>(&mut self, list: &mut List, id: Id, chain: C)
    where
        T: Linked<C>,
    {
        let Some(entry) = self.get_mut(id) else { return };
        let Links { next, previous } = core::mem::take(entry.links(chain));
        if let Some(entry) = next.and_then(|next| self.get_mut(next)) {
            entry.links(chain).previous = previous;
        }
        match previous.and_then(|previous| self.get_mut(previous)) {
            Some(entry) => entry.links(chain).next = next,
            None => list.0 = next,
        }
    }

    /// The entry after this one.
    pub(crate) fn next<C>(&self, id: Id, chain: C) -> Option<Id>
    where
        T: Linked<C>,
    {
        self.get(id)?.next(chain)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    struct Item(Links);

    impl Linked<()> for Item {
        fn links(&mut self, (): ()) -> &mut Links {
            &mut self.0
        }
        fn next(&self, (): ()) -> Option<Id> {
            self.0.next
        }
    }

    #[test]
    fn a_number_never_recurs() {
        let mut table = Table::new(1);
        let first = table.insert('a').unwrap();
        assert_eq!(table.insert('b'), None);
        assert_eq!(table.remove(first), Some('a'));
        assert_eq!(table.remove(first), None);
        let second = table.insert('c').unwrap();
        assert_ne!(first, second);
        assert_eq!((table.get(first), table.get(second)), (None, Some(&'c')));
        assert_eq!(table.get(Id(0)), None);
        assert_eq!(table.get(Id(u64::MAX)), None);
    }

    #[test]
    fn an_entry_retires_when_its_generation_saturates() {
        let mut table = Table::new(1);
        table.entries[0].generation = u32::MAX;
        let last = table.insert('a').unwrap();
        assert_eq!(table.remove(last), Some('a'));
        assert_eq!(table.insert('b'), None);
        assert_eq!(table.get(last), None);
    }

    #[test]
    fn a_list_loses_any_of_its_entries() {
        for lost in 0..3 {
            let mut table = Table::new(3);
            let mut list = List::EMPTY;
            let ids: Vec<Id> = (0..3).map(|_| table.insert(Item(Links::default())).unwrap()).collect();
            ids.iter().for_each(|&id| table.push(&mut list, id, ()));
            table.unlink(&mut list, ids[lost], ());
            let found: Vec<Id> = core::iter::successors(list.head(), |&id| table.next(id, ())).collect();
            let mut expected = ids.clone();
            expected.remove(lost);
            expected.reverse();
            assert_eq!(found, expected);
        }
    }
}
