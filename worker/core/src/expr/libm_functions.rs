//! Transcendental functions by one software implementation, so that every machine gives the same bits.

use std::hash::Hash;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array};
use arrow_schema::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

type Unary = fn(f64) -> f64;
type Binary = fn(f64, f64) -> f64;

const UNARY: &[(&str, Unary)] = &[
    ("acos", libm::acos),
    ("acosh", libm::acosh),
    ("asin", libm::asin),
    ("asinh", libm::asinh),
    ("atan", libm::atan),
    ("atanh", libm::atanh),
    ("cbrt", libm::cbrt),
    ("cos", libm::cos),
    ("cosh", libm::cosh),
    ("cot", |x| 1.0 / libm::tan(x)),
    ("exp", libm::exp),
    ("ln", libm::log),
    ("log2", libm::log2),
    ("log10", libm::log10),
    ("sin", libm::sin),
    ("sinh", libm::sinh),
    ("tan", libm::tan),
    ("tanh", libm::tanh),
];

const BINARY: &[(&str, &[&str], Binary)] = &[
    ("atan2", &[], libm::atan2),
    ("power", &["pow"], libm::pow),
    // log(base, x), as in SQL.
    ("log", &[], |base, x| libm::log(x) / libm::log(base)),
];

/// The functions, as DataFusion knows functions.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let unary = UNARY
        .iter()
        .map(|(name, call)| LibmFunction::new(name, &[], Call::Unary(*call), 1));
    let binary = BINARY
        .iter()
        .map(|(name, aliases, call)| LibmFunction::new(name, aliases, Call::Binary(*call), 2));
    unary
        .chain(binary)
        .map(|function| Arc::new(ScalarUDF::from(function)))
        .collect()
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Unary(Unary),
    Binary(Binary),
}

#[derive(Debug)]
struct LibmFunction {
    name: &'static str,
    aliases: Vec<String>,
    call: Call,
    signature: Signature,
}

impl LibmFunction {
    fn new(name: &'static str, aliases: &[&str], call: Call, n_arguments: usize) -> Self {
        let signature = Signature::exact(vec![DataType::Float64; n_arguments], Volatility::Immutable);
        Self {
            name,
            aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
            call,
            signature,
        }
    }
}

impl PartialEq for LibmFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for LibmFunction {}

impl Hash for LibmFunction {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for LibmFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let result: Float64Array = match (self.call, arrays.as_slice()) {
            (Call::Unary(call), [x]) => x.as_primitive::<Float64Type>().unary(call),
            (Call::Binary(call), [x, y]) => {
                let pairs = x
                    .as_primitive::<Float64Type>()
                    .iter()
                    .zip(y.as_primitive::<Float64Type>().iter());
                pairs.map(|(x, y)| Some(call(x?, y?))).collect()
            }
            _ => return datafusion_common::exec_err!("{} got {} arguments", self.name, arrays.len()),
        };
        Ok(ColumnarValue::Array(Arc::new(result) as ArrayRef))
    }
}
