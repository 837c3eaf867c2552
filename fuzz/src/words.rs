//! Words that ONNX models are made of.

use crate::schema::Form;

/// Operators.
#[rustfmt::skip]
pub const OPERATORS: &[&str] = &[
    "Add", "Sub", "Mul", "Div", "PRelu", "Mod", "BitShift", "And", "Or", "Xor", "BitwiseAnd", "BitwiseOr",
    "BitwiseXor", "Min", "Max", "Sum", "Mean", "Pow", "Cast", "CastLike", "Relu", "Sigmoid", "Tanh", "Exp", "Sqrt",
    "Erf", "Neg", "Abs", "Sign", "Floor", "Ceil", "Round", "Reciprocal", "Log", "Not", "BitwiseNot", "Sin", "Cos",
    "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Softplus", "Softsign", "HardSwish",
    "Mish", "LeakyRelu", "Elu", "Selu", "Celu", "ThresholdedRelu", "HardSigmoid", "Swish", "Shrink", "Gelu", "Clip",
    "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "IsNaN", "IsInf", "Where", "Identity", "Dropout",
    "MatMul", "Gemm", "Einsum", "RNN", "GRU", "LSTM", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear",
    "MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv", "Resize", "Upsample", "GridSample", "Det",
    "Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool",
    "GlobalLpPool", "MaxUnpool", "BatchNormalization", "LayerNormalization", "RMSNormalization",
    "InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization", "LRN", "LpNormalization", "Softmax",
    "LogSoftmax", "Hardmax", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1",
    "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp", "ArgMax", "ArgMin", "TopK", "CumSum",
    "CumProd", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Concat", "Split", "Slice", "Pad",
    "Expand", "Tile", "Trilu", "DepthToSpace", "SpaceToDepth", "Gather", "GatherElements", "GatherND", "Scatter",
    "ScatterElements", "ScatterND", "OneHot", "ReverseSequence", "Compress", "NonZero", "Shape", "Size", "Constant",
    "ConstantOfShape", "Range", "EyeLike", "If", "Attention",
];

/// Attributes, and what they hold.
#[rustfmt::skip]
pub const ATTRIBUTES: &[(&str, Form)] = &[
    ("align_corners", Form::Int), ("allowzero", Form::Int), ("antialias", Form::Int), ("ceil_mode", Form::Int),
    ("count_include_pad", Form::Int), ("detect_negative", Form::Int), ("detect_positive", Form::Int),
    ("exclude_outside", Form::Int), ("exclusive", Form::Int), ("fmod", Form::Int), ("input_forget", Form::Int),
    ("keepdims", Form::Int), ("largest", Form::Int), ("linear_before_reset", Form::Int),
    ("noop_with_empty_axes", Form::Int), ("reverse", Form::Int), ("select_last_index", Form::Int),
    ("training_mode", Form::Int), ("transA", Form::Int), ("transB", Form::Int), ("upper", Form::Int),
    ("axis", Form::Int), ("batch_axis", Form::Int), ("batch_dims", Form::Int), ("blocksize", Form::Int),
    ("end", Form::Int), ("group", Form::Int), ("k", Form::Int), ("layout", Form::Int), ("num_groups", Form::Int),
    ("num_outputs", Form::Int), ("output_dtype", Form::Int), ("p", Form::Int), ("size", Form::Int),
    ("start", Form::Int), ("storage_order", Form::Int), ("time_axis", Form::Int), ("to", Form::Int),
    ("dtype", Form::Int), ("value_int", Form::Int), ("hidden_size", Form::Int), ("sorted", Form::Int),
    ("alpha", Form::Float), ("beta", Form::Float), ("bias", Form::Float), ("clip", Form::Float),
    ("cubic_coeff_a", Form::Float), ("epsilon", Form::Float), ("extrapolation_value", Form::Float),
    ("gamma", Form::Float), ("lambd", Form::Float), ("value_float", Form::Float), ("axes", Form::Ints),
    ("kernel_shape", Form::Ints), ("output_shape", Form::Ints), ("pads", Form::Ints), ("perm", Form::Ints),
    ("value_ints", Form::Ints), ("dilations", Form::Ints), ("output_padding", Form::Ints), ("strides", Form::Ints),
    ("split", Form::Ints), ("activation_alpha", Form::Floats), ("activation_beta", Form::Floats),
    ("scales", Form::Floats), ("value_floats", Form::Floats), ("approximate", Form::Bytes),
    ("auto_pad", Form::Bytes), ("coordinate_transformation_mode", Form::Bytes), ("direction", Form::Bytes),
    ("equation", Form::Bytes), ("keep_aspect_ratio_policy", Form::Bytes), ("mode", Form::Bytes),
    ("nearest_mode", Form::Bytes), ("padding_mode", Form::Bytes), ("reduction", Form::Bytes),
];

/// Values of attributes that are text.
#[rustfmt::skip]
pub const VALUES: &[&str] = &[
    "none", "tanh", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", "half_pixel", "asymmetric", "align_corners",
    "pytorch_half_pixel", "half_pixel_symmetric", "tf_crop_and_resize", "forward", "reverse", "bidirectional",
    "LEFT", "RIGHT", "stretch", "not_larger", "not_smaller", "nearest", "linear", "cubic", "bilinear", "bicubic",
    "constant", "reflect", "edge", "wrap", "round_prefer_floor", "round_prefer_ceil", "floor", "ceil", "zeros",
    "border", "reflection", "add", "mul", "max", "min", "DCR", "CRD", "ij,jk->ik", "i,i->", "...ij->...ji",
    "bij,bjk,bkl->bil", "ii->i",
];
