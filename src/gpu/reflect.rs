//! Reads entry points, bindings and overrides from the WGSL, so that nobody types them twice.

use naga::{AddressSpace, ScalarKind, StorageAccess, TypeInner};

/// One storage binding of an entry point.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    pub name: String,
    pub number: u32,
    pub read_only: bool,
}

/// One entry point.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub name: String,
    pub workgroup_size: [u32; 3],
    /// The storage buffers it uses, in the order of their numbers.
    pub bindings: Vec<Binding>,
}

/// The bind group of the tensors; group 0 holds the slot.
pub const TENSOR_GROUP: u32 = 1;

/// The whole WGSL text of a module: what all share, then the stem's own.
pub fn source(common: &str, wgsl: &str) -> String {
    format!("{common}\n{wgsl}")
}

/// Parses and validates a whole text.
///
/// # Errors
/// naga's own message, with the place.
pub fn module(text: &str) -> Result<(naga::Module, naga::valid::ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(text).map_err(|error| error.emit_to_string(text))?;
    let mut validator =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::empty());
    let info = validator.validate(&module).map_err(|error| error.emit_to_string(text))?;
    Ok((module, info))
}

/// The entry points of a whole text.
///
/// # Errors
/// If the WGSL is not valid.
pub fn entries(text: &str) -> Result<Vec<Entry>, String> {
    let (module, info) = module(text)?;
    let entry = |(number, entry): (usize, &naga::EntryPoint)| {
        let usage = info.get_entry_point(number);
        let mut bindings: Vec<Binding> = module
            .global_variables
            .iter()
            .filter(|(handle, _)| !usage[*handle].is_empty())
            .filter_map(|(_, variable)| {
                let AddressSpace::Storage { access } = variable.space else { return None };
                let number = variable.binding.as_ref()?.binding;
                let read_only = !access.contains(StorageAccess::STORE);
                Some(Binding { name: variable.name.clone()?, number, read_only })
            })
            .collect();
        bindings.sort_by_key(|binding| binding.number);
        Entry { name: entry.name.clone(), workgroup_size: entry.workgroup_size, bindings }
    };
    Ok(module.entry_points.iter().enumerate().map(entry).collect())
}

/// The overrides of a whole text, in order: name and kind of number.
///
/// # Errors
/// If the WGSL is not valid.
pub fn overrides(text: &str) -> Result<Vec<(String, ScalarKind)>, String> {
    let (module, _) = module(text)?;
    let kind = |value: &naga::Override| match module.types[value.ty].inner {
        TypeInner::Scalar(scalar) => Ok((value.name.clone().unwrap_or_default(), scalar.kind)),
        _ => Err(format!("override {:?} is no number", value.name)),
    };
    module.overrides.iter().map(|(_, value)| kind(value)).collect()
}
