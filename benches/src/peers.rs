//! What the engine is built on, by itself.

use anyhow::bail;
use meshguard_engine::{Bundle, DEFAULT_ENTRYPOINT};
use regorus::Value;

/// regorus' interpreter, prepared, with none of the engine's checks: a host's shortest way to an answer.
pub struct Plain(regorus::Engine);

impl Plain {
    /// Loads `bundle` and evaluates once, which prepares the interpreter.
    ///
    /// # Errors
    /// The bundle doesn't load, or holds data elsewhere than at its root.
    pub fn new(bundle: &Bundle) -> anyhow::Result<Self> {
        let mut engine = regorus::Engine::new();
        for (path, body) in &bundle.files {
            let text = || Ok::<_, anyhow::Error>(std::str::from_utf8(body)?.to_owned());
            match path.as_str() {
                "data.json" => engine.add_data(Value::from_json_str(&text()?)?)?,
                "vectors.json" => {}
                path if path.ends_with(".rego") => {
                    engine.add_policy(path.to_owned(), text()?)?;
                }
                path => bail!("`{path}`: only data at the root is loaded here"),
            }
        }
        let mut plain = Self(engine);
        plain.ask(Value::new_object())?;
        Ok(plain)
    }

    /// Evaluates the default entrypoint.
    ///
    /// # Errors
    /// The evaluation raised one.
    pub fn ask(&mut self, input: Value) -> anyhow::Result<Value> {
        self.0.set_input(input);
        self.0.eval_rule(DEFAULT_ENTRYPOINT.to_owned())
    }
}
