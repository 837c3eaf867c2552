//! Where a tensor's elements lie: in memory of its own, or in memory that it shares, such as a mapped file.
//!
//! Weights of gigabytes are used where they are: whoever reads a tensor sees a slice, wherever it lies. Who overwrites shared elements
//! gets a copy first.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::Element;

/// Memory that tensors share, whose bytes never change.
pub trait Store: Send + Sync {
    /// The bytes: always the same, at the same place.
    fn bytes(&self) -> &[u8];

    /// Gives back memory for the bytes, where they can be had again when they are next read. What is read stays the same.
    fn release(&self) {}
}

/// The elements of a tensor, which are a slice.
#[derive(Clone)]
pub struct Elements<T>(Place<T>);

#[derive(Clone)]
enum Place<T> {
    Own(Vec<T>),
    /// Bytes that are elements: aligned, and a whole number of them.
    Shared(Arc<dyn Store>),
}

impl<T: Element> Elements<T> {
    /// All bytes of a store as elements, in this machine's order. `None` where they are no whole number of elements or not aligned, or
    /// where not all bits are an element (booleans).
    pub fn stored(store: Arc<dyn Store>) -> Option<Self> {
        T::view(store.bytes()).is_some().then_some(Elements(Place::Shared(store)))
    }

    /// Whether the memory is that of a [`Store`].
    pub fn is_stored(&self) -> bool {
        matches!(self.0, Place::Shared(_))
    }

    /// Gives back memory for the elements, where they can be had again when they are next read; see [`Store::release`].
    pub fn release(&self) {
        if let Place::Shared(store) = &self.0 {
            store.release();
        }
    }

    /// The elements as a vector, copied where they are shared.
    pub fn into_vec(self) -> Vec<T> {
        match self.0 {
            Place::Own(elements) => elements,
            Place::Shared(store) => view(&*store).to_vec(),
        }
    }

    /// The elements as a vector that can be changed, copied first where they are shared.
    pub fn to_mut(&mut self) -> &mut Vec<T> {
        if let Place::Shared(store) = &self.0 {
            self.0 = Place::Own(view(&**store).to_vec());
        }
        match &mut self.0 {
            Place::Own(elements) => elements,
            Place::Shared(_) => unreachable!("replaced above"),
        }
    }
}

fn view<T: Element>(store: &dyn Store) -> &[T] {
    T::view(store.bytes()).expect("it was checked when it was made, and a store never changes")
}

impl<T: Element> Deref for Elements<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Place::Own(elements) => elements,
            Place::Shared(store) => view(&**store),
        }
    }
}

impl<T: Element> DerefMut for Elements<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.to_mut()
    }
}

impl<T> From<Vec<T>> for Elements<T> {
    fn from(elements: Vec<T>) -> Self {
        Elements(Place::Own(elements))
    }
}

impl<T> FromIterator<T> for Elements<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        Vec::from_iter(elements).into()
    }
}

impl<T: Element> Extend<T> for Elements<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, elements: I) {
        self.to_mut().extend(elements);
    }
}

impl<T: Element> IntoIterator for Elements<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.into_vec().into_iter()
    }
}

impl<'e, T: Element> IntoIterator for &'e Elements<T> {
    type Item = &'e T;
    type IntoIter = std::slice::Iter<'e, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Element> PartialEq for Elements<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Element> fmt::Debug for Elements<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, Data};

    /// Floats, from the byte `skip` on.
    struct Floats(Vec<f32>, usize);

    impl Store for Floats {
        fn bytes(&self) -> &[u8] {
            &bytemuck::cast_slice(&self.0)[self.1..]
        }
    }

    #[test]
    fn stored_elements_are_read_in_place_and_copied_when_they_are_changed() {
        let store = Arc::new(Floats(vec![1.0, 2.0, 3.0], 0));
        let mut elements = Elements::<f32>::stored(store.clone()).unwrap();
        assert_eq!(elements.as_ptr(), store.0.as_ptr());
        assert_eq!(elements, Elements::from(vec![1.0, 2.0, 3.0]));
        let same = elements.clone();
        elements[1] = 5.0;
        elements.extend([7.0]);
        assert_eq!((&*elements, &*same), (&[1.0, 5.0, 3.0, 7.0][..], &[1.0, 2.0, 3.0][..]));
        assert!(!elements.is_stored() && same.is_stored());
        assert_eq!(same.into_vec(), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn what_is_not_aligned_or_not_whole_or_not_of_any_bits_is_not_stored() {
        let store = |skip| Arc::new(Floats(vec![1.0, 2.0, 3.0, 4.0], skip));
        assert!(Elements::<f32>::stored(store(2)).is_none(), "neither aligned nor whole");
        assert!(Elements::<u8>::stored(store(2)).is_some());
        assert!(Elements::<f64>::stored(store(4)).is_none(), "one and a half");
        assert!(Elements::<bool>::stored(store(0)).is_none());
        assert!(Data::stored(DType::Bool, store(0)).is_none());
        assert_eq!(Data::stored(DType::F32, store(4)).unwrap().len(), 3);
    }
}
