use paceline_graph::BinaryOp;
use paceline_graph::passes::plain_powers;

use crate::support::{Tolerance, check};

#[test]
fn squares_become_products() {
    check(
        plain_powers,
        Tolerance::Relative(1e-6),
        &[
            (
                "a square",
                |p| {
                    let x = p.input(&[4]);
                    let two = p.scalar(2.0);
                    vec![p.binary(BinaryOp::Pow, x, two)]
                },
                "Mul",
            ),
            (
                "a square by a constant with axes",
                |p| {
                    let x = p.input(&[4]);
                    let two = p.elements(&[1, 1], vec![2.0]);
                    vec![p.binary(BinaryOp::Pow, x, two)]
                },
                "Mul",
            ),
            (
                "other powers, and powers of two",
                |p| {
                    let x = p.input(&[4]);
                    let (three, two) = (p.scalar(3.0), p.scalar(2.0));
                    let each = p.elements(&[4], vec![2.0; 4]);
                    [(x, three), (two, x), (x, each)].map(|(a, b)| p.binary(BinaryOp::Pow, a, b)).to_vec()
                },
                "Pow Pow Pow",
            ),
        ],
    );
}
