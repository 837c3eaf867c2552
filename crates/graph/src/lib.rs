//! Graphs: operators, shapes, validation, passes, and the reference interpreter.
