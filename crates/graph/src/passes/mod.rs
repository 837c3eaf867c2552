//! Functions from graph to graph that leave every result unchanged.
