//! One node on its way into the graph: its inputs, its attributes, and what an operator's translation does with them.

use std::sync::Arc;

use paceline_graph::{
    Binary, BinaryOp, DType, Data, Dim, Element, Expand, Op, Reshape, Shape, Tensor, Transpose, Unary,
    UnaryOp, ValueType, axis_position, by_type,
};

use super::building::Building;
use super::trouble::Trouble;
use super::value::{Affine, Item, integers};
use crate::proto::{AttributeProto, NodeProto, TensorProto, attribute_type};
use crate::tensor::TensorReader;

/// Integers that say how to compute: two for an axis at most, but for indices.
pub(crate) const MOST_SIZES: usize = 1 << 16;

/// The outputs of a node, in order.
pub(crate) type Lowered = Result<Vec<Item>, Trouble>;

/// One node on its way into the graph.
pub(crate) struct Lowering<'a> {
    pub building: &'a mut Building,
    pub reader: &'a mut TensorReader,
    pub node: &'a NodeProto,
    /// What the nodes of the graph are named after.
    pub name: String,
    /// Version of the node's operator set.
    pub opset: i64,
    pub inputs: Vec<Option<Item>>,
    /// The batch size that is in the model as a number, where it is to be a batch axis.
    pub freed: Option<usize>,
}

/// Inputs.
impl Lowering<'_> {
    /// A required input.
    pub(crate) fn input(&self, index: usize) -> Result<Item, Trouble> {
        self.optional(index).ok_or_else(|| Trouble::refused(format!("an input {index}"), "none"))
    }

    /// An optional input.
    pub(crate) fn optional(&self, index: usize) -> Option<Item> {
        self.inputs.get(index).cloned().flatten()
    }

    /// All inputs, of which none may be left out.
    pub(crate) fn all(&self) -> Result<Vec<Item>, Trouble> {
        (0..self.inputs.len()).map(|index| self.input(index)).collect()
    }

    /// Integers that say how to compute, not what with: they must be known when the model is read, but may depend on the batch.
    pub(crate) fn sizes(&self, index: usize) -> Result<Vec<Affine>, Trouble> {
        match self.input(index)? {
            Item::Symbolic(symbolic) => Ok(symbolic.elements),
            Item::Known(tensor) if tensor.len() > MOST_SIZES => {
                Err(Trouble::refused(format!("at most {MOST_SIZES} sizes"), format!("{}", tensor.len())))
            }
            Item::Known(tensor) => match integers(&tensor) {
                Some(values) => Ok(values.into_iter().map(Affine::fixed).collect()),
                None => Err(Trouble::refused("integers", tensor.dtype().to_string())),
            },
            Item::Graph(_) | Item::Sampled(_) | Item::View(_) => Err(Trouble::Unknown(index)),
        }
    }

    /// Integers that say how to compute, and that are the same for every batch.
    pub(crate) fn known_ints(&self, index: usize) -> Result<Vec<i64>, Trouble> {
        let ints: Option<Vec<i64>> = self.sizes(index)?.into_iter().map(Affine::constant).collect();
        ints.ok_or_else(|| {
            Trouble::refused(
                format!("an input {index} that does not depend on how many samples there are"),
                "one that does",
            )
        })
    }

    /// A tensor that says how to compute.
    pub(crate) fn known(&self, index: usize) -> Result<Arc<Tensor>, Trouble> {
        match self.input(index)? {
            Item::Known(tensor) => Ok(tensor),
            _ => Err(Trouble::Unknown(index)),
        }
    }

    /// Numbers that say how to compute.
    pub(crate) fn known_floats(&self, index: usize) -> Result<Vec<f64>, Trouble> {
        let known = self.known(index)?;
        self.building.spend(known.len() * size_of::<f64>())?;
        Ok(floats(&known))
    }

    /// Element type and shape.
    pub(crate) fn ty(&self, item: &Item) -> ValueType {
        self.building.ty(item)
    }

    pub(crate) fn dtype(&self, item: &Item) -> DType {
        self.ty(item).dtype
    }

    pub(crate) fn dims(&self, item: &Item) -> Vec<Dim> {
        self.ty(item).shape.dims().to_vec()
    }

    pub(crate) fn rank(&self, item: &Item) -> usize {
        self.ty(item).shape.rank()
    }

    /// The position of an axis, which may be negative.
    pub(crate) fn axis(&self, axis: i64, rank: usize) -> Result<usize, Trouble> {
        let position = isize::try_from(axis).ok().and_then(|axis| axis_position(axis, rank));
        position.ok_or_else(|| Trouble::refused(format!("an axis of {rank} axes"), format!("axis {axis}")))
    }

    /// The length of an axis that is not the batch.
    pub(crate) fn length(&self, item: &Item, axis: usize) -> Result<usize, Trouble> {
        let dims = self.dims(item);
        match dims.get(axis) {
            Some(Dim::Fixed(length)) => Ok(*length),
            _ => Err(Trouble::refused(
                format!("an axis {axis} that is not the batch"),
                Shape::from(dims).to_string(),
            )),
        }
    }
}

/// The elements as f64, of whatever type they are.
pub(crate) fn floats(tensor: &Tensor) -> Vec<f64> {
    by_type!(Data, tensor.data(), values => values.iter().map(|value| value.to_f64()).collect())
}

/// Attributes.
impl Lowering<'_> {
    /// The attribute of this name.
    pub(crate) fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    fn typed(&self, name: &str, expected: i32, what: &str) -> Result<Option<&AttributeProto>, Trouble> {
        match self.attribute(name) {
            // Some writers leave the type out.
            Some(attribute) if attribute.r#type == expected || attribute.r#type == 0 => Ok(Some(attribute)),
            Some(_) => Err(Trouble::refused(format!("{what} as attribute '{name}'"), "something else")),
            None => Ok(None),
        }
    }

    pub(crate) fn int(&self, name: &str, default: i64) -> Result<i64, Trouble> {
        Ok(self.optional_int(name)?.unwrap_or(default))
    }

    pub(crate) fn optional_int(&self, name: &str) -> Result<Option<i64>, Trouble> {
        Ok(self.typed(name, attribute_type::INT, "an integer")?.map(|attribute| attribute.i))
    }

    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, Trouble> {
        Ok(self.int(name, i64::from(default))? != 0)
    }

    pub(crate) fn float(&self, name: &str, default: f32) -> Result<f32, Trouble> {
        Ok(self.typed(name, attribute_type::FLOAT, "a number")?.map_or(default, |attribute| attribute.f))
    }

    pub(crate) fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, Trouble> {
        Ok(self.typed(name, attribute_type::INTS, "integers")?.map(|attribute| attribute.ints.clone()))
    }

    pub(crate) fn floats(&self, name: &str) -> Result<Option<Vec<f32>>, Trouble> {
        Ok(self.typed(name, attribute_type::FLOATS, "numbers")?.map(|attribute| attribute.floats.clone()))
    }

    /// Integers of at least 0, one for each of `count`, or else the default for each.
    pub(crate) fn counts(&self, name: &str, count: usize, default: usize) -> Result<Vec<usize>, Trouble> {
        match self.ints(name)? {
            None => Ok(vec![default; count]),
            Some(ints) => usizes(&ints, name),
        }
    }

    pub(crate) fn string(&self, name: &str, default: &str) -> Result<String, Trouble> {
        let attribute = self.typed(name, attribute_type::STRING, "a string")?;
        Ok(attribute.map_or_else(|| default.into(), |a| String::from_utf8_lossy(&a.s).into_owned()))
    }

    /// Strings, where there are any.
    pub(crate) fn strings(&self, name: &str) -> Option<Vec<String>> {
        let text = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
        self.attribute(name).map(|attribute| attribute.strings.iter().map(text).collect())
    }

    /// A tensor that is an attribute.
    pub(crate) fn tensor(&mut self, name: &str) -> Result<Option<Tensor>, Trouble> {
        let node = self.node;
        let attribute = node.attribute.iter().find(|attribute| attribute.name == name);
        match attribute.and_then(|attribute| attribute.t.as_ref()) {
            None => Ok(None),
            Some(proto) => Ok(Some(Tensor::clone(&*self.read(proto)?))),
        }
    }

    fn read(&mut self, proto: &TensorProto) -> Result<Arc<Tensor>, Trouble> {
        self.reader.read(proto)?.ok_or_else(|| {
            Trouble::unsupported(format!("a tensor of {}", crate::proto::data_type::name(proto.data_type)))
        })
    }

    /// Parameters that used to be an attribute and became an input in the operator set `since`.
    pub(crate) fn ints_or_input(
        &self,
        name: &str,
        index: usize,
        since: i64,
    ) -> Result<Option<Vec<i64>>, Trouble> {
        if self.opset < since {
            return self.ints(name);
        }
        self.optional(index).map(|_| self.known_ints(index)).transpose()
    }
}

/// Integers of at least 0.
pub(crate) fn usizes(ints: &[i64], what: &str) -> Result<Vec<usize>, Trouble> {
    let all: Option<Vec<usize>> = ints.iter().map(|&int| usize::try_from(int).ok()).collect();
    all.ok_or_else(|| Trouble::refused(format!("{what} of at least 0"), format!("{ints:?}")))
}

/// What translations are made of.
impl Lowering<'_> {
    /// The only output of an operator.
    pub(crate) fn add(&mut self, op: Op, inputs: &[&Item]) -> Result<Item, Trouble> {
        let inputs: Vec<Option<&Item>> = inputs.iter().map(|&item| Some(item)).collect();
        self.add_given(op, &inputs)
    }

    /// The only output of an operator of which some inputs may be left out, at the end of the list too.
    pub(crate) fn add_given(&mut self, op: Op, inputs: &[Option<&Item>]) -> Result<Item, Trouble> {
        let given = inputs.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        Ok(self.building.add(&self.name, op, &inputs[..given])?.swap_remove(0))
    }

    /// All outputs of an operator.
    pub(crate) fn add_many(&mut self, op: Op, inputs: &[&Item]) -> Result<Vec<Item>, Trouble> {
        let inputs: Vec<Option<&Item>> = inputs.iter().map(|&item| Some(item)).collect();
        self.building.add(&self.name, op, &inputs)
    }

    pub(crate) fn unary(&mut self, op: UnaryOp, x: &Item) -> Result<Item, Trouble> {
        self.add(Op::Unary(Unary(op)), &[x])
    }

    pub(crate) fn binary(&mut self, op: BinaryOp, a: &Item, b: &Item) -> Result<Item, Trouble> {
        self.add(Op::Binary(Binary(op)), &[a, b])
    }

    /// The same elements under another shape; itself where that is its shape already.
    pub(crate) fn reshape(&mut self, x: &Item, dims: Vec<Dim>) -> Result<Item, Trouble> {
        if self.dims(x) == dims {
            return Ok(x.clone());
        }
        self.add(Op::Reshape(Reshape { shape: dims.into() }), &[x])
    }

    pub(crate) fn transpose(&mut self, x: &Item, permutation: Vec<usize>) -> Result<Item, Trouble> {
        if permutation.iter().copied().eq(0..permutation.len()) {
            return Ok(x.clone());
        }
        self.add(Op::Transpose(Transpose { permutation }), &[x])
    }

    /// A constant of equal elements.
    pub(crate) fn filled(&self, dtype: DType, value: f64, shape: &[usize]) -> Result<Item, Trouble> {
        Ok(Item::known(super::ops::shape::filled(self.building, &scalar(dtype, value), shape.to_vec())?))
    }

    /// Equal elements in the shape of another tensor.
    pub(crate) fn full(&mut self, like: &Item, dtype: DType, value: f64) -> Result<Item, Trouble> {
        let shape = self.ty(like).shape;
        match shape.fixed() {
            Some(shape) => self.filled(dtype, value, &shape),
            None => {
                let one = self.scalar(dtype, value);
                self.add(Op::Expand(Expand { shape }), &[&one])
            }
        }
    }

    /// All elements along one axis.
    pub(crate) fn flat(&mut self, x: &Item) -> Result<Item, Trouble> {
        let dims = self.dims(x);
        let product = dims.iter().try_fold(Affine::fixed(1), |n, &dim| n.multiply(Affine::of_dim(dim)?));
        let length = product.and_then(Affine::dim);
        let length =
            length.ok_or_else(|| Trouble::refused("a number of elements that fits in memory", "more"))?;
        self.reshape(x, vec![length])
    }

    /// Counts a tensor of integers that is about to be made.
    pub(crate) fn spend_on(&self, shape: &[usize]) -> Result<(), Trouble> {
        super::ops::shape::checked(self.building, DType::I64, shape).map(|_| ())
    }

    /// One number, of a type.
    pub(crate) fn scalar(&self, dtype: DType, value: f64) -> Item {
        Item::known(scalar(dtype, value))
    }
}

/// A tensor without axes.
pub(crate) fn scalar(dtype: DType, value: f64) -> Tensor {
    fn one<T: Element>(_: &[T], value: f64) -> Data {
        Data::of(vec![T::from_f64(value)])
    }
    let data = by_type!(Data, &Data::zeros(dtype, 0), of => one(of, value));
    Tensor::new([], data).expect("a tensor without axes has one element")
}
