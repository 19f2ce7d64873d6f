//! Whether a library and this host understand each other.

use mortise_plugin_abi::PluginModule_Ref;
use mortise_plugin_abi::stable::{
    AbiInstability, AbiInstabilityError, AbiInstabilityErrors, CheckingGlobals, ExpectedFound,
    RootModule as _, StableAbi, TLFieldOrFunction, TypeLayout,
    check_layout_compatibility_with_globals,
};
use mortise_plugin_api::API_VERSION;
use mortise_plugin_api::ffi::Manifest;

use super::error::LibraryError;

/// The checker's own account of one changed field has hundreds of kilobytes.
const LONGEST_ACCOUNT: usize = 900;
const BOUNDARY_CRATE: &str = "mortise-plugin-abi";
/// How many types of the way to a difference are told; the way begins with the root module.
const STEPS: usize = 3;
/// How many differences are told; the first causes most of the others.
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
pub(super) fn check_layout(
    theirs: &'static TypeLayout,
    their_version: &str,
) -> Result<(), LibraryError> {
    let mine = PluginModule_Ref::LAYOUT;
    let Err(older_host) = check(mine, theirs) else {
        return Ok(());
    };
    if check(theirs, mine).is_ok() {
        return Ok(());
    }
    Err(LibraryError::Layout(account(&older_host, their_version)))
}

/// One direction, without what the checker remembers of other libraries: after an older one it
/// would refuse the next that is like this host. Libraries never meet each other's objects, only
/// the host's.
fn check(
    interface: &'static TypeLayout,
    implementation: &'static TypeLayout,
) -> Result<(), AbiInstabilityErrors> {
    check_layout_compatibility_with_globals(interface, implementation, &CheckingGlobals::new())
}

fn account(errors: &AbiInstabilityErrors, their_version: &str) -> String {
    // The boundary's own types first: whatever is wrapped round them differs because of them.
    let mut own_first: Vec<_> = errors.errors.iter().collect();
    own_first.sort_by_key(|error| !is_about_own_type(error));
    let mut differences = Vec::new();
    for error in own_first {
        // An error without a reason of its own is about the types inside.
        if let Some(what) = error.errs.first() {
            let difference = format!("{}{}", place(error), told(what));
            if !differences.contains(&difference) {
                differences.push(difference);
            }
        }
    }
    let mut account = format!(
        "boundary {} here, {their_version} there; ",
        PluginModule_Ref::VERSION_STRINGS.version,
    );
    let more = differences.len().saturating_sub(DIFFERENCES);
    differences.truncate(DIFFERENCES);
    account.push_str(&differences.join("; "));
    if more > 0 {
        account.extend(["; and ", &more.to_string(), " more"]);
    }
    shortened(account)
}

fn is_about_own_type(error: &AbiInstabilityError) -> bool {
    match error.stack_trace.last().map(|last| &last.expected) {
        Some(TLFieldOrFunction::Field(field)) => {
            field.layout().package().as_str() == BOUNDARY_CRATE
        }
        _ => false,
    }
}

/// The innermost types on the way to a difference.
fn place(error: &AbiInstabilityError) -> String {
    let mut path: Vec<String> = error.stack_trace.iter().filter_map(step).collect();
    path.dedup();
    path.drain(..path.len().saturating_sub(STEPS));
    if path.is_empty() {
        return String::new();
    }
    format!("{}: ", path.join(" > "))
}

/// A field or a function, unless it only wraps the next.
fn step(found: &ExpectedFound<TLFieldOrFunction>) -> Option<String> {
    let (name, kind) = match &found.expected {
        TLFieldOrFunction::Field(field) => (field.name(), field.layout().name()),
        TLFieldOrFunction::Function(function) => (function.name.as_str(), ""),
    };
    let has_name =
        name.starts_with(|first: char| first.is_ascii_alphabetic()) && !name.starts_with("field_");
    match (has_name, kind) {
        (true, "" | "AFunctionPointer") => Some(name.to_owned()),
        (true, _) => Some(format!("{name} ({kind})")),
        (false, "" | "AFunctionPointer") => None,
        (false, _) => Some(kind.to_owned()),
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
            format!(
                "field {} here, {} there",
                it.expected.name(),
                it.found.name()
            )
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
