//! `cargo xtask run`: the server with the repository's configuration, ready to be tried.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
};

use integration_tests::workspace;

use crate::tools::{Done, build, profile_dir, say, shipped_libraries};

const SECRET: &str = "MORTISE_SECRET";

pub(crate) fn run() -> Done {
    build()?;
    fill_plugin_dir(&workspace().join("target/plugins"))?;
    let mut server = Command::new(profile_dir().join("mortise"));
    server
        .args(["serve", "--config", "config.toml"])
        .current_dir(workspace());
    let secret = match std::env::var(SECRET) {
        Ok(secret) if !secret.is_empty() => secret,
        _ => {
            let secret = random_secret()?;
            server.env(SECRET, &secret);
            secret
        }
    };
    say(&greeting(&secret));
    // Takes the place of this process, so that signals reach the server.
    let error = server.exec();
    Err(format!("the server cannot be run: {error}"))
}

/// Copies the shipped libraries to where `config.toml` looks for them.
fn fill_plugin_dir(folder: &Path) -> Done {
    let failed = |error| format!("cannot fill {}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(failed)?;
    for library in shipped_libraries()? {
        let copy = folder.join(format!(".{library}"));
        fs::copy(profile_dir().join(&library), &copy).map_err(failed)?;
        // The server refuses libraries that others may write, whatever the umask is.
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).map_err(failed)?;
        // A rename never shows half a library to a server that is starting.
        fs::rename(&copy, folder.join(&library)).map_err(failed)?;
    }
    Ok(())
}

fn random_secret() -> Result<String, String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|error| format!("cannot read random bytes: {error}"))?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

fn greeting(secret: &str) -> String {
    format!(
        r#"
Paste into another terminal:

  export {SECRET}={secret}
  curl -s http://127.0.0.1:3141/api/assistant/run -H "authorization: Bearer ${SECRET}" \
      -H 'content-type: application/json' -d '{{"input":"hi"}}'
  curl -sN http://127.0.0.1:3141/api/assistant/run -H "authorization: Bearer ${SECRET}" \
      -H 'content-type: application/json' -H 'accept: text/event-stream' \
      -d '{{"input":"call add {{\"a\":1,\"b\":2}}"}}'

README.md has more to try. Ctrl-C ends the server.
"#
    )
}
