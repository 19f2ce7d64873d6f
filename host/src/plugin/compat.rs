//! Whether a library and this host understand each other.

use mortise_plugin_abi::PluginModule_Ref;
use mortise_plugin_abi::stable::{
    AbiInstability, AbiInstabilityError, AbiInstabilityErrors, ExpectedFound, StableAbi,
    TLFieldOrFunction, TypeLayout, check_layout_compatibility,
};
use mortise_plugin_api::API_VERSION;
use mortise_plugin_api::ffi::Manifest;

use super::error::LibraryError;

/// The checker's own account of one changed field has hundreds of kilobytes.
const LONGEST_ACCOUNT: usize = 900;
/// How many differences are told; the first usually causes the others.
const DIFFERENCES: usize = 3;

/// What the manifest alone tells.
pub(super) fn check_manifest(manifest: &Manifest) -> Result<(), LibraryError> {
    if major(&manifest.api) != major(API_VERSION) {
        return Err(LibraryError::WrongApi {
            plugin: manifest.api.clone(),
            host: API_VERSION,
        });
    }
    if manifest.panic != "unwind" {
        return Err(LibraryError::Aborts(manifest.panic.clone()));
    }
    Ok(())
}

fn major(version: &str) -> &str {
    version.split_once('.').map_or(version, |(major, _)| major)
}

/// Whether one side's types are the beginning of the other's.
///
/// The checker takes types that grew for a mistake in one direction only. Either direction will
/// do: every accessor looks at how much its table really has.
pub(super) fn check_layout(theirs: &'static TypeLayout) -> Result<(), LibraryError> {
    let mine = PluginModule_Ref::LAYOUT;
    let Err(older_host) = check_layout_compatibility(mine, theirs) else {
        return Ok(());
    };
    if check_layout_compatibility(theirs, mine).is_ok() {
        return Ok(());
    }
    Err(LibraryError::Layout(account(&older_host)))
}

fn account(errors: &AbiInstabilityErrors) -> String {
    let mut differences = Vec::new();
    for error in &errors.errors {
        let difference = difference(error);
        if !differences.contains(&difference) {
            differences.push(difference);
        }
    }
    let mut account = format!(
        "boundary {} here, {} there; ",
        errors.interface.package_version(),
        errors.implementation.package_version(),
    );
    let more = differences.len().saturating_sub(DIFFERENCES);
    differences.truncate(DIFFERENCES);
    account.push_str(&differences.join("; "));
    if more > 0 {
        account.push_str(&format!("; and {more} more"));
    }
    shortened(account)
}

fn difference(error: &AbiInstabilityError) -> String {
    let mut path: Vec<String> = error.stack_trace.iter().map(step).collect();
    path.dedup();
    if path.len() > 4 {
        path.drain(..path.len() - 4);
    }
    let what = error.errs.first().map_or_else(String::new, told);
    if path.is_empty() {
        return what;
    }
    format!("{}: {what}", path.join(" > "))
}

fn step(found: &ExpectedFound<TLFieldOrFunction>) -> String {
    match &found.expected {
        TLFieldOrFunction::Field(field) => {
            let kind = field.layout().name();
            let name = field.name();
            if kind.is_empty() || name == kind {
                name.to_owned()
            } else {
                format!("{name} ({kind})")
            }
        }
        TLFieldOrFunction::Function(function) => function.name.to_string(),
    }
}

fn told(error: &AbiInstability) -> String {
    use AbiInstability as Told;
    match error {
        Told::Size(it) => format!("size {} here, {} there", it.expected, it.found),
        Told::Alignment(it) => format!("alignment {} here, {} there", it.expected, it.found),
        Told::Name(it) => format!("type {} here, {} there", it.expected, it.found),
        Told::Package(it) => format!("crate {} here, {} there", it.expected, it.found),
        Told::PackageVersion(it) => {
            format!("crate version {} here, {} there", it.expected, it.found)
        }
        Told::FieldCountMismatch(it) => format!("{} fields here, {} there", it.expected, it.found),
        Told::TooManyVariants(it) => format!("{} variants here, {} there", it.expected, it.found),
        Told::MismatchedPrefixSize(it) => {
            format!("{} required entries here, {} there", it.expected, it.found)
        }
        Told::UnexpectedVariant(it) => {
            format!("variant {} here, {} there", it.expected, it.found)
        }
        Told::UnexpectedField(it) => {
            format!("field {} here, {} there", it.expected.name(), it.found.name())
        }
        other => {
            let debug = format!("{other:?}");
            let word = debug.split(['(', ' ', '{']).next().unwrap_or_default();
            word.to_owned()
        }
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > LONGEST_ACCOUNT {
        let mut end = LONGEST_ACCOUNT;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}
