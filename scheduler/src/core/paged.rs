//! A persistent table of small rows.

use rpds::VectorSync;

/// A persistent vector whose elements lie in pages of `N`. A clone costs a pointer. An element costs
/// no memory of its own, and what the first change of a page after a clone copies is the page, not
/// each element: so plain numbers are best kept here.
#[derive(Clone, Debug)]
pub(super) struct Paged<T, const N: usize> {
    pages: VectorSync<[T; N]>,
    len: usize,
}

impl<T, const N: usize> Default for Paged<T, N> {
    fn default() -> Paged<T, N> {
        Paged { pages: VectorSync::new_sync(), len: 0 }
    }
}

impl<T: Clone + Default, const N: usize> Paged<T, N> {
    /// How many elements there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// An element.
    pub(super) fn get(&self, place: usize) -> Option<&T> {
        // Elements of the last page that are not there yet have their default.
        if place >= self.len {
            return None;
        }
        self.pages.get(place / N)?.get(place % N)
    }

    /// The first element of the same page. Beside it in memory is what a change of any of them needs.
    pub(super) fn first_beside(&self, place: usize) -> Option<&T> {
        self.pages.get(place / N)?.first()
    }

    /// An element, to be changed.
    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        if place >= self.len {
            return None;
        }
        self.pages.get_mut(place / N)?.get_mut(place % N)
    }

    /// Adds an element at the end.
    pub(super) fn push(&mut self, element: T) {
        let place = self.len;
        if place.is_multiple_of(N) {
            self.pages.push_back_mut(std::array::from_fn(|_| T::default()));
        }
        self.len += 1;
        if let Some(slot) = self.get_mut(place) {
            *slot = element;
        }
    }

    /// All elements, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten().take(self.len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn like_a_vector(steps in prop::collection::vec((any::<bool>(), 0..300_usize), 0..400)) {
            let (mut paged, mut model) = (Paged::<usize, 4>::default(), Vec::new());
            let mut before = (paged.clone(), model.clone());
            for (number, (push, place)) in steps.into_iter().enumerate() {
                if push {
                    paged.push(number + 1);
                    model.push(number + 1);
                } else {
                    prop_assert_eq!(paged.get_mut(place).is_some(), place < model.len());
                    if let (Some(one), Some(other)) = (paged.get_mut(place), model.get_mut(place)) {
                        *one += 1000;
                        *other += 1000;
                    }
                }
                if number == 200 {
                    before = (paged.clone(), model.clone());
                }
                prop_assert_eq!(paged.get(place), model.get(place));
            }
            prop_assert_eq!(paged.len(), model.len());
            prop_assert!(paged.iter().eq(model.iter()));
            prop_assert!(before.0.iter().eq(before.1.iter()));
        }
    }
}
