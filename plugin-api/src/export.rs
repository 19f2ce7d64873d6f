//! `export_plugin!`: what makes a library out of a plugin.

/// Makes the library loadable: exports the plugin's root module and its metadata.
///
/// Emits only under the feature `dylib` of the **author's** crate, since two plugins that are
/// linked into one program would otherwise export the same symbols.
///
/// The metadata is an ELF section `.mortise` with JSON text, so that the host reads name, version
/// and compatibility without running any code of the library.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty) => {
        #[cfg(feature = "dylib")]
        #[allow(
            unsafe_code,
            missing_docs,
            clippy::allow_attributes,
            clippy::undocumented_unsafe_blocks,
            reason = "the header that the host looks for; written once here, for every plugin"
        )]
        const _: () = {
            use $crate::ffi::abi::stable as mortise_stable;
            use $crate::ffi::abi::{PluginModule, PluginModule_Ref};

            const MODULE: &mortise_stable::WithMetadata<PluginModule> =
                &mortise_stable::WithMetadata::new(PluginModule {
                    config_schema: $crate::ffi::config_schema::<$plugin>,
                    create: $crate::ffi::create::<$plugin>,
                });

            extern "C" fn module() -> mortise_stable::RootModuleResult {
                mortise_stable::call_root_module_loader(|| {
                    PluginModule_Ref(MODULE.static_as_prefix())
                })
            }

            // SAFETY: the name is the one that abi_stable looks for, and `module` returns the
            // root module that the header is made for.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            static HEADER: mortise_stable::LibHeader = unsafe {
                mortise_stable::LibHeader::from_constructor::<PluginModule_Ref>(
                    module,
                    mortise_stable::CheckTypeLayout::Yes,
                )
            };

            const NAME: &str = <$plugin as $crate::Plugin>::NAME;
            const VERSION: &str = <$plugin as $crate::Plugin>::VERSION;
            const GRANTS: &[&str] = <$plugin as $crate::Plugin>::GRANTS;
            const LENGTH: usize = $crate::ffi::metadata::length(NAME, VERSION, GRANTS);

            // SAFETY: plain bytes that nothing but the host's file reader looks at.
            #[used]
            #[unsafe(link_section = ".mortise")]
            static METADATA: [u8; LENGTH] =
                $crate::ffi::metadata::text::<LENGTH>(NAME, VERSION, GRANTS);
        };
    };
}
