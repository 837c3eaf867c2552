//! Keyword arguments of a Python constructor, of which none may be overlooked.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Problem;

/// Named arguments that are taken one by one; [`Arguments::finish`] fails when one is left.
#[derive(Debug)]
pub(super) struct Arguments(Map<String, Value>);

impl Arguments {
    pub(super) fn new(object: Value) -> Result<Self, Problem> {
        match object {
            Value::Object(map) => Ok(Arguments(map)),
            other => Err(Problem::new("an object of arguments", other.to_string())),
        }
    }

    /// The argument `name`, if it was given.
    pub(super) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Problem> {
        Ok(self.0.remove(name).map(serde_json::from_value).transpose()?)
    }

    pub(super) fn required<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Problem> {
        self.take(name)?.ok_or_else(|| Problem::new(format!("an argument '{name}'"), format!("{self:?}")))
    }

    /// `module` changed by `set` when `name` was given.
    pub(super) fn apply<M, T: DeserializeOwned>(
        &mut self,
        name: &str,
        module: M,
        set: impl FnOnce(M, T) -> M,
    ) -> Result<M, Problem> {
        Ok(match self.take(name)? {
            Some(value) => set(module, value),
            None => module,
        })
    }

    /// The number or numbers, one for each spatial axis, under `name`.
    pub(super) fn axes<const R: usize>(&mut self, name: &str) -> Result<Option<crate::Axes<R>>, Problem> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(number @ Value::Number(_)) => Ok(Some(serde_json::from_value::<usize>(number)?.into())),
            Some(list) => {
                let list: Vec<usize> = serde_json::from_value(list)?;
                let axes = <[usize; R]>::try_from(list);
                axes.map(|axes| Some(axes.into()))
                    .map_err(|list| Problem::new(format!("{R} numbers for '{name}'"), format!("{list:?}")))
            }
        }
    }

    /// Fails when an argument was not taken.
    pub(super) fn finish(&self) -> Result<(), Problem> {
        match self.0.keys().next() {
            Some(name) => Err(Problem::new("arguments that are known here", name)),
            None => Ok(()),
        }
    }
}
