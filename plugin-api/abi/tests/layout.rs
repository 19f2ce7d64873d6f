//! Shows every change of what crosses as a diff of `layout.golden`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use abi_stable::StableAbi;
use abi_stable::std_types::UTypeId;
use abi_stable::type_layout::{TLData, TLField, TypeLayout};
use mortise_plugin_abi::PluginModule_Ref;

const HELP: &str = "
What crosses between host and plugins has changed. Compare:
  + a method or field at the end of a prefix type, after the last prefix field and with a
    default body; a variant at the end of a non-exhaustive enum that still fits its storage:
    older and newer sides keep working. Raise the minor version of mortise-plugin-abi.
  - anything else (a changed struct, size, order, name or type): every plugin must be rebuilt.
    Raise the major version, or find a way to append. See docs/abi.md.
Then accept with: MORTISE_BLESS=1 cargo test -p mortise-plugin-abi --test layout";

#[test]
fn the_layout_of_what_crosses_is_the_committed_one() {
    let now = text_of(PluginModule_Ref::LAYOUT);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layout.golden");
    if env::var_os("MORTISE_BLESS").is_some() {
        fs::write(&golden, &now).unwrap();
        return;
    }
    let committed = fs::read_to_string(&golden).unwrap_or_default();
    let changes = changes(&committed, &now);
    assert!(changes.is_empty(), "\n{changes}{HELP}");
}

type Id = (UTypeId, &'static str);

/// A type that crosses, and where it was met first.
struct Met {
    layout: &'static TypeLayout,
    from: Option<(Id, String)>,
}

/// All types that crossing leads to, in the order in which they are met.
struct Types {
    met: HashMap<Id, Met>,
    order: Vec<Id>,
    /// How many types have the same name: generic parameters are not part of it.
    named: HashMap<String, usize>,
}

/// The types that a type consists of or leads to, each once.
fn text_of(root: &'static TypeLayout) -> String {
    let types = Types::from(root);
    let mut descriptions: Vec<String> = types.order.iter().map(|id| types.tell(id)).collect();
    descriptions.sort();
    descriptions.join("\n")
}

impl Types {
    fn from(root: &'static TypeLayout) -> Self {
        let mut types = Self {
            met: HashMap::new(),
            order: Vec::new(),
            named: HashMap::new(),
        };
        let mut open = VecDeque::from([(root, None)]);
        while let Some((layout, from)) = open.pop_front() {
            let id = id_of(layout);
            if types.met.contains_key(&id) {
                continue;
            }
            for (place, part) in parts(layout) {
                open.push_back((part, Some((id, place))));
            }
            *types.named.entry(name(layout)).or_default() += 1;
            types.order.push(id);
            types.met.insert(id, Met { layout, from });
        }
        types
    }

    /// The name, with the generic parameters that `abi_stable` does not tell, or else with the type
    /// that it is part of.
    fn label(&self, layout: &'static TypeLayout) -> String {
        // Of types that differ in lifetimes alone, the first is told.
        let met = &self.met[&id_of(layout)];
        let (layout, name) = (met.layout, name(met.layout));
        if self.named[&name] == 1 {
            return name;
        }
        let parts = parts(layout);
        let part = |place: &str| {
            let (_, part) = parts.iter().rfind(|(own, _)| own == place)?;
            Some(self.label(part))
        };
        let base = name.split('<').next().unwrap_or_default();
        let parameters = match base {
            "RResult" => {
                let both: Vec<String> = parts.iter().map(|(_, it)| self.label(it)).collect();
                Some(both.join(", "))
            }
            "ROption" | "FfiPoll" => part("field_0"),
            "LocalBorrowingFfiFuture" => part("poll_fn").map(|it| inside(&it)),
            "BorrowingFfiFuture" => part("field_0").map(|it| inside(&it)),
            "NonExhaustive" => part("_phantom_ty_param_0"),
            "RArc" | "RBox" | "RVec" => part("_marker").map(|it| inside(&it)),
            "RRef" | "RMut" => return name,
            _ if base.starts_with(['*', '&']) => part("0"),
            _ => None,
        };
        if let Some(parameters) = parameters {
            return format!("{base}<{parameters}>");
        }
        let mut from = met.from.as_ref();
        while let Some((parent, _)) = from {
            let parent = &self.met[parent];
            let unique = self::name(parent.layout);
            if self.named[&unique] == 1 {
                return format!("{name} of {unique}");
            }
            from = parent.from.as_ref();
        }
        name
    }

    fn tell(&self, id: &Id) -> String {
        let layout = self.met[id].layout;
        let mut text = format!(
            "{} (size {}, alignment {}, {:?})\n",
            self.label(layout),
            layout.size(),
            layout.alignment(),
            layout.repr_attr(),
        );
        match layout.data() {
            TLData::Primitive(_) => text.push_str("  primitive\n"),
            TLData::Opaque => text.push_str("  opaque\n"),
            TLData::Struct { fields } => self.fields(&mut text, "field", &fields.to_vec()),
            TLData::Union { fields } => self.fields(&mut text, "union field", &fields.to_vec()),
            TLData::PrefixType(prefix) => {
                let fields = prefix.fields.to_vec();
                let (first, appended) = fields.split_at(usize::from(prefix.first_suffix_field));
                self.fields(&mut text, "prefix", first);
                self.fields(&mut text, "appended", appended);
            }
            TLData::Enum(variants) => {
                let kind = if variants.exhaustiveness.is_nonexhaustive() {
                    "non-exhaustive variant"
                } else {
                    "variant"
                };
                let mut fields = variants.fields.iter();
                for (name, count) in variants.variant_names_iter().zip(variants.field_count) {
                    let _ = writeln!(text, "  {kind} {name}");
                    let own: Vec<TLField> = fields.by_ref().take(usize::from(*count)).collect();
                    self.fields(&mut text, "  field", &own);
                }
            }
        }
        self.fields(&mut text, "leads to", &layout.phantom_fields().to_vec());
        text
    }

    fn fields(&self, text: &mut String, kind: &str, fields: &[TLField]) {
        for field in fields {
            let _ = write!(text, "  {kind} {}: ", field.name());
            let functions = field.function_range();
            if functions.is_empty() {
                let _ = writeln!(text, "{}", self.label(field.layout()));
            }
            for function in functions {
                let parameters: Vec<String> = function
                    .param_type_layouts
                    .iter()
                    .map(|layout| self.label(layout()))
                    .collect();
                let returned = function
                    .return_type_layout()
                    .map_or_else(|| "()".to_owned(), |layout| self.label(layout()));
                let _ = writeln!(text, "fn({}) -> {returned}", parameters.join(", "));
            }
        }
    }
}

/// Some different types of no size share their type id.
fn id_of(layout: &'static TypeLayout) -> Id {
    (layout.get_utypeid(), layout.name())
}

fn inside(label: &str) -> String {
    let inner = label
        .split_once('<')
        .and_then(|(_, it)| it.rsplit_once('>'));
    inner.map_or(label, |(inner, _)| inner).to_owned()
}

fn name(layout: &'static TypeLayout) -> String {
    let words = layout.full_type().to_string();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn parts(layout: &'static TypeLayout) -> Vec<(String, &'static TypeLayout)> {
    let mut parts = Vec::new();
    let fields = layout.get_fields().into_iter().flat_map(|it| it.to_vec());
    for field in fields.chain(layout.phantom_fields().to_vec()) {
        parts.push((field.name().to_owned(), field.layout()));
        for function in field.function_range() {
            let crossing = function
                .param_type_layouts
                .iter()
                .chain(function.return_type_layout());
            parts.extend(crossing.map(|layout| (field.name().to_owned(), layout())));
        }
    }
    parts
}

/// The lines that only one side has.
fn changes(before: &str, after: &str) -> String {
    let mut text = String::new();
    let (before, after) = (by_type(before), by_type(after));
    for name in before
        .keys()
        .chain(after.keys().filter(|it| !before.contains_key(*it)))
    {
        let empty = Vec::new();
        let old = before.get(name).unwrap_or(&empty);
        let new = after.get(name).unwrap_or(&empty);
        if old != new {
            let _ = writeln!(text, "in {name}:");
            for line in old.iter().filter(|line| !new.contains(line)) {
                let _ = writeln!(text, "- {line}");
            }
            for line in new.iter().filter(|line| !old.contains(line)) {
                let _ = writeln!(text, "+ {line}");
            }
        }
    }
    text
}

fn by_type(text: &str) -> BTreeMap<&str, Vec<&str>> {
    text.split("\n\n")
        .filter_map(|section| {
            let name = section.lines().next()?.split(" (size").next()?;
            Some((name.trim(), section.lines().collect()))
        })
        .collect()
}
