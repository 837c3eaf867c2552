//! Models that are changed as models: nodes, attributes, shapes and tensors instead of bytes.

#![no_main]

use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target, fuzzer_mutate};
use paceline_fuzz::{crossed, mutated};

/// One change in so many is one of bytes, so that what is no message is tried too.
const PLAIN: u32 = 16;

fuzz_target!(|bytes: &[u8]| paceline_fuzz::examine(bytes));

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    let changed =
        if seed.is_multiple_of(PLAIN) { None } else { mutated(&data[..size], u64::from(seed), most) };
    match changed {
        Some(changed) => {
            data[..changed.len()].copy_from_slice(&changed);
            changed.len()
        }
        None => fuzzer_mutate(data, size, most),
    }
});

fuzz_crossover!(|one: &[u8], other: &[u8], out: &mut [u8], seed: u32| {
    let crossed = crossed(one, other, u64::from(seed), out.len()).unwrap_or_else(|| one.to_vec());
    let length = crossed.len().min(out.len());
    out[..length].copy_from_slice(&crossed[..length]);
    length
});
