//! Operators that make tensors from shapes, or shapes from tensors.

use std::sync::Arc;

use paceline_graph::{DType, Data, Expand, Op, Tensor, ValueType};

use crate::import::building::Building;
use crate::import::lowering::{Lowered, Lowering, scalar, usizes};
use crate::import::trouble::Trouble;
use crate::import::value::{Affine, Item, Symbolic};
use crate::tensor::dtype;

/// Elements that a tensor made when the model is read may have.
const MOST_ELEMENTS: usize = 1 << 26;

/// Lengths of axes, of all or from `start` to `end`.
pub(crate) fn shape(l: &mut Lowering<'_>) -> Lowered {
    let dims = l.dims(&l.input(0)?);
    let rank = dims.len() as i64;
    let within = |index: i64| if index < 0 { (index + rank).max(0) } else { index.min(rank) } as usize;
    let (start, end) = (within(l.int("start", 0)?), within(l.int("end", rank)?));
    let lengths = Symbolic::of_dims(&dims[start..end.max(start)]);
    let lengths = lengths.ok_or_else(|| Trouble::refused("lengths that an i64 holds", "longer axes"))?;
    Ok(vec![lengths.item()])
}

/// The number of elements.
pub(crate) fn size(l: &mut Lowering<'_>) -> Lowered {
    let dims = l.dims(&l.input(0)?);
    let product = dims.iter().try_fold(Affine::fixed(1), |n, &dim| n.multiply(Affine::of_dim(dim)?));
    let product =
        product.ok_or_else(|| Trouble::refused("a number of elements that an i64 holds", "more"))?;
    Ok(vec![Symbolic { shape: vec![], elements: vec![product] }.item()])
}

pub(crate) fn constant(l: &mut Lowering<'_>) -> Lowered {
    if let Some(tensor) = l.tensor("value")? {
        return Ok(vec![Item::Known(Arc::new(tensor))]);
    }
    let tensor = if l.has("value_float") {
        scalar(DType::F32, f64::from(l.float("value_float", 0.0)?))
    } else if let Some(int) = l.optional_int("value_int")? {
        Tensor::new([], vec![int]).expect("one element")
    } else if let Some(floats) = l.floats("value_floats")? {
        Tensor::new([floats.len()], floats).expect("as many elements")
    } else if let Some(ints) = l.ints("value_ints")? {
        Tensor::new([ints.len()], ints).expect("as many elements")
    } else {
        return Err(Trouble::unsupported("a constant that is neither a tensor nor numbers"));
    };
    Ok(vec![Item::known(tensor)])
}

/// A number of elements that may be made.
pub(in crate::import) fn checked(
    building: &Building,
    dtype: DType,
    shape: &[usize],
) -> Result<usize, Trouble> {
    let count = shape.iter().try_fold(1usize, |n, &length| n.checked_mul(length));
    let count = count.filter(|&count| count <= MOST_ELEMENTS).ok_or_else(|| {
        Trouble::refused(
            format!("a constant of at most {MOST_ELEMENTS} elements"),
            format!("shape {shape:?}"),
        )
    })?;
    building.check_size(&ValueType::new(dtype, shape))?;
    building.spend(count * dtype.size_bytes())?;
    Ok(count)
}

/// Copies of one element.
pub(in crate::import) fn filled(
    building: &Building,
    element: &Tensor,
    shape: Vec<usize>,
) -> Result<Tensor, Trouble> {
    let count = checked(building, element.dtype(), &shape)?;
    let data = paceline_graph::by_type!(Data, element.data(), values => match values[..] {
        [value] => Data::of(vec![value; count]),
        _ => return Err(Trouble::refused("one value", format!("{}", values.len()))),
    });
    Ok(Tensor::new(shape, data).expect("as many elements"))
}

pub(crate) fn constant_of_shape(l: &mut Lowering<'_>) -> Lowered {
    let element = match l.tensor("value")? {
        Some(element) if element.len() == 1 => element,
        Some(other) => return Err(Trouble::refused("one value", format!("{}", other.len()))),
        None => scalar(DType::F32, 0.0),
    };
    let sizes = l.sizes(0)?;
    if sizes.iter().all(|size| size.constant().is_some()) {
        let shape = usizes(&l.known_ints(0)?, "lengths")?;
        return Ok(vec![Item::known(filled(l.building, &element, shape)?)]);
    }
    let dims: Option<Vec<_>> = sizes.iter().map(|size| size.dim()).collect();
    let dims =
        dims.ok_or_else(|| Trouble::refused("lengths of at least 0, or multiples of the batch", "others"))?;
    let element = Item::known(element.reshaped([]).expect("one element"));
    Ok(vec![l.add(Op::Expand(Expand { shape: dims.into() }), &[&element])?])
}

/// `start, start + delta, ...` before `limit`.
pub(crate) fn range(l: &mut Lowering<'_>) -> Lowered {
    let (start, limit, delta) = (l.known(0)?, l.known(1)?, l.known(2)?);
    let numbers = [&start, &limit, &delta].map(|tensor| crate::import::lowering::floats(tensor));
    let [&[start_at], &[limit], &[delta]] = [&numbers[0][..], &numbers[1][..], &numbers[2][..]] else {
        return Err(Trouble::refused("start, limit and delta of one element each", "others"));
    };
    let count = ((limit - start_at) / delta).ceil().max(0.0);
    if !count.is_finite() || count > MOST_ELEMENTS as f64 {
        return Err(Trouble::refused(format!("at most {MOST_ELEMENTS} elements"), format!("{count}")));
    }
    checked(l.building, start.dtype(), &[count as usize])?;
    let at = |i: usize| start_at + i as f64 * delta;
    let data: Data = match start.dtype() {
        DType::F32 => Data::of((0..count as usize).map(|i| at(i) as f32).collect::<Vec<f32>>()),
        DType::F64 => Data::of((0..count as usize).map(at).collect::<Vec<f64>>()),
        DType::I64 => Data::of((0..count as usize).map(|i| at(i) as i64).collect::<Vec<i64>>()),
        DType::I32 => Data::of((0..count as usize).map(|i| at(i) as i32).collect::<Vec<i32>>()),
        DType::I16 => Data::of((0..count as usize).map(|i| at(i) as i16).collect::<Vec<i16>>()),
        other => return Err(Trouble::unsupported(format!("elements of {other}"))),
    };
    Ok(vec![Item::known(Tensor::new([count as usize], data).expect("as many elements"))])
}

/// Ones on a diagonal, zeros elsewhere.
pub(crate) fn eye_like(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let ty = l.ty(&x);
    let Some(&[rows, columns]) = ty.shape.fixed().as_deref() else {
        return Err(Trouble::refused("a matrix of a size that does not depend on the batch", ty.to_string()));
    };
    let to = match l.optional_int("dtype")? {
        Some(to) => {
            i32::try_from(to).ok().and_then(dtype).ok_or_else(|| Trouble::unsupported("this element type"))?
        }
        None => ty.dtype,
    };
    let k = l.int("k", 0)?;
    checked(l.building, to, &[rows, columns])?;
    let mut data = Data::zeros(to, rows * columns);
    let one = scalar(to, 1.0);
    for row in 0..rows as i64 {
        let column = row.saturating_add(k);
        if (0..columns as i64).contains(&column) {
            let at = row as usize * columns + column as usize;
            paceline_graph::by_type!(Data, &mut data, Data, one.data(), (to, one) => to[at] = one[0], else unreachable!("of one type"));
        }
    }
    Ok(vec![Item::known(Tensor::new([rows, columns], data).expect("as many elements"))])
}
