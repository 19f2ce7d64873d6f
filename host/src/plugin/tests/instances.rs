//! Instances: which load, which do not, and what is said then.

use std::time::Duration;

use mortise_plugin_api::Item;
use serde_json::json;

use super::odd::{Odd, odd};
use super::*;
use crate::plugin::instance::{shutdown_all, start_all};
use crate::plugin::loader::load_within;

async fn refused(linked: Vec<LinkedPlugin>) -> Vec<String> {
    told(load_linked(linked).await)
}

#[tokio::test]
async fn the_real_library_runs_an_agent() {
    let folder = folder_with_echo();
    let text = "[[plugins.load]]\nname = \"echo-agent\"";
    let loaded = load_config(folder.path(), text).await.unwrap();
    start_all(&loaded.instances).await.unwrap();
    let agent = &loaded.catalog.agents[0];
    assert_eq!(&*agent.instance, "echo-agent");
    assert_eq!(agent.capability.info().name, "echo");
    let run = Arc::<FakeRun>::default();
    let input = [Item::user("hello there")];
    let result = agent.capability.run(run.services(), &input).await.unwrap();
    assert_eq!(result.response.output[0].text(), "hello there");
    assert_eq!(run.asked(), ["run.say"]);
    shutdown_all(&loaded.instances).await;
}

#[tokio::test]
async fn several_instances_share_one_image() {
    let folder = folder_with_echo();
    let config = config(folder.path(), "");
    let path = folder.path().join("plugins/libecho_agent.so");
    let host = host(&HostApiSlot::new());
    let load = || load(&config, Vec::new(), std::slice::from_ref(&path), &host);
    let (first, second) = (load().await.unwrap(), load().await.unwrap());
    let (first, second) = (&first.instances[0], &second.instances[0]);
    assert_eq!(&**first.name(), "echo-agent");
    assert!(!Arc::ptr_eq(first, second));
    assert_eq!(first.digest(), second.digest());
}

#[tokio::test]
async fn two_instances_that_offer_the_same_agent_are_refused() {
    let folder = folder_with_echo();
    let text = "[[plugins.load]]\nname = \"a\"\nlibrary = \"echo_agent\"\n\
                [[plugins.load]]\nname = \"b\"\nlibrary = \"echo_agent\"";
    assert_eq!(
        told(load_config(folder.path(), text).await),
        [
            "plugin 'b' offers the agent 'echo', which plugin 'a' offers already; \
          remove one of the two from [[plugins.load]], or have its `config` offer something else"
        ]
    );
}

#[tokio::test]
async fn a_missing_folder_matters_only_when_something_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    assert!(load_config(folder.path(), "").await.is_ok());
    let text = "[[plugins.load]]\nname = \"echo-agent\"";
    let said = told(load_config(folder.path(), text).await);
    assert!(
        said[0].starts_with("cannot read the plugin folder"),
        "{said:?}"
    );
}

#[tokio::test]
async fn what_is_not_required_may_fail() {
    let folder = folder_with_echo();
    let text = "[[plugins.load]]\nname = \"nowhere\"\nrequired = false\n\
                [[plugins.load]]\nname = \"echo-agent\"";
    let loaded = load_config(folder.path(), text).await.unwrap();
    assert_eq!(loaded.instances.len(), 1);
    let said = told(load_config(folder.path(), "[[plugins.load]]\nname = \"nowhere\"").await);
    assert!(
        said[0].starts_with("cannot load plugin 'nowhere' from "),
        "{said:?}"
    );
    assert!(
        said[0].contains("libnowhere.so: there is no such file; copy"),
        "{said:?}"
    );
    let said = told(load_config(folder.path(), "[[plugins.load]]\nname = \"ecko-agent\"").await);
    assert!(
        said[0].ends_with("there is no such file; did you mean `echo_agent`?"),
        "{said:?}"
    );
}

#[tokio::test]
async fn unlisted_libraries_load_only_on_demand() {
    let folder = folder_with_echo();
    let loaded = load_config(folder.path(), "").await.unwrap();
    assert!(loaded.instances.is_empty());
    let text = "[plugins]\nautoload = true";
    let loaded = load_config(folder.path(), text).await.unwrap();
    assert_eq!(&**loaded.instances[0].name(), "echo-agent");
    // What is no plugin may lie there too; what is broken may not.
    std::fs::write(folder.path().join("plugins/libother.so"), "text").unwrap();
    let said = told(load_config(folder.path(), text).await);
    assert!(
        said[0].contains("libother.so: it is not a library: it is text"),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_wrong_setting_is_shown_where_it_was_written() {
    let folder = folder_with_echo();
    let text = "[[plugins.load]]\nname = \"echo-agent\"\nconfig = { volume = 11 }";
    let Err(errors) = load_config(folder.path(), text).await else {
        panic!("it loaded");
    };
    let LoadError::Settings(error) = errors.iter().next().unwrap() else {
        panic!("{errors}");
    };
    let problem = error.problems().next().unwrap();
    assert_eq!(
        problem.message(),
        "plugin 'echo-agent' has no setting `volume`"
    );
    let place = problem.position().unwrap();
    assert_eq!((place.line, place.column), (3, 21));
}

#[tokio::test]
async fn every_wrong_setting_is_told() {
    let settings = json!({ "doess": [], "nested": { "_count": 11 } });
    let said = refused(vec![LinkedPlugin::of::<Odd>("a", settings)]).await;
    assert_eq!(said.len(), 2);
    assert!(
        said[0].contains("plugin 'a' has no setting `doess`"),
        "{said:?}"
    );
    assert!(
        said[1].contains("`nested._count` of plugin 'a' must be <= 10"),
        "{said:?}"
    );
}

#[tokio::test]
async fn what_goes_wrong_in_create_is_told() {
    let said = refused(vec![
        odd("a", &["panic in create"]),
        odd("b", &["fail in create"]),
        odd("c", &["agent panics"]),
    ])
    .await;
    assert_eq!(said.len(), 3);
    assert!(
        said[0].starts_with("plugin 'a' panicked in create: panicked at "),
        "{said:?}"
    );
    assert!(said[0].contains("the drawer is stuck; "), "{said:?}");
    assert!(
        said[1].starts_with("plugin 'b' cannot be created: the drawer is locked; "),
        "{said:?}"
    );
    assert!(
        said[2].starts_with("plugin 'c' panicked in the info of an agent: "),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_create_that_hangs_is_given_up() {
    let linked = vec![odd("a", &["hang in create"])];
    let (config, host) = (Config::default(), host(&HostApiSlot::new()));
    let limit = Duration::from_secs(1);
    let loaded = load_within(limit, &config, linked, &[], &host).await;
    assert!(told(loaded)[0].starts_with("plugin 'a' did not end its create within 1 s; "));
}

#[tokio::test]
async fn names_have_a_grammar() {
    for (does, kind) in [
        ("agent -", "an agent"),
        ("agent livez", "an agent"),
        ("agent two words", "an agent"),
        ("tool ../x", "a tool"),
        ("model a//b", "a model"),
        ("hook x:y", "a hook"),
    ] {
        let said = refused(vec![odd("a", &[does])]).await;
        let start = format!("plugin 'a' offers {kind} with a name that cannot be: ");
        assert!(said[0].starts_with(&start), "{said:?}");
    }
}

#[tokio::test]
async fn what_two_offer_is_refused_with_both_names() {
    let twice = |first: &[&str], second: &[&str]| {
        let linked = vec![odd("a", first), odd("b", second)];
        async move { refused(linked).await.first().cloned() }
    };
    let said = refused(vec![odd("a", &[]), odd("a", &[])]).await;
    assert!(said[0].starts_with("two plugins are named 'a': a part of this program and"));

    let said = twice(&["agent x"], &["agent x"]).await.unwrap();
    assert!(
        said.contains("'b' offers the agent 'x', which plugin 'a' offers"),
        "{said}"
    );
    let said = twice(&["base /x/:id"], &["base /x//{name}/"])
        .await
        .unwrap();
    assert!(
        said.contains("POST /api/x/{name}, which plugin 'a' offers"),
        "{said}"
    );
    let said = twice(&["base /"], &["absolute /api"]).await.unwrap();
    assert!(said.contains("POST /api, which plugin 'a'"), "{said}");
    let said = twice(&["base /x"], &["absolute /api/x"]).await.unwrap();
    assert!(said.contains("POST /api/x, which plugin 'a'"), "{said}");
    let said = load_linked(vec![odd("a", &["base /x"]), odd("b", &["absolute /x"])]).await;
    assert!(said.is_ok(), "the same path in another place");
    let said = refused(vec![odd("a", &["tool x", "tool x"])]).await;
    assert!(
        said[0].contains("plugin 'a' offers the tool 'x', which it offers"),
        "{said:?}"
    );
    let said = refused(vec![odd("a", &["model x", "model x"])]).await;
    assert!(said[0].contains("the model 'x'"), "{said:?}");
    let shared = vec![odd("a", &["tool x"]), odd("b", &["tool x"])];
    assert!(
        load_linked(shared).await.is_ok(),
        "tools belong to their instance"
    );
}

#[tokio::test]
async fn the_servers_own_routes_cannot_be_taken() {
    for path in ["base /mine/:any", "absolute /api/mine/{a}"] {
        let said = refused(vec![odd("a", &[path])]).await;
        assert!(said[0].contains("a route of the server itself"), "{said:?}");
    }
    for path in ["base /mine", "base /mine/x", "absolute /mine/:a"] {
        assert!(load_linked(vec![odd("a", &[path])]).await.is_ok(), "{path}");
    }
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_is_refused_with_a_remedy() {
    let said = refused(vec![odd("a", &["base /{id}.json"])]).await;
    assert_eq!(
        said,
        [
            "plugin 'a' has an endpoint that cannot be: \"/{id}.json\" is not a path: '{' has no place \
          in \"{id}.json\"; if it comes from the plugin's `config`, change it there; else tell its \
          author"
        ]
    );
}

#[tokio::test]
async fn a_start_that_fails_names_the_plugin() {
    let loaded = load_linked(vec![odd("a", &["fail in start"])])
        .await
        .unwrap();
    let error = start_all(&loaded.instances).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin 'a' cannot start: the lamp is broken"
    );
}
