//! A text's statements: the package, imports, rules and queries.

use std::sync::Arc;

use super::ast::{Body, Import, Location, Package, Rule, Term, TermKind, Var, dotted};
use super::lexer::Kind;
use super::parser::{Keywords, Parser, RegoVersion};

pub(super) enum Statement {
    Package(Package),
    Import(Import),
    Rule(Rule),
    /// A query, or what [`module`](super::module) makes a rule of.
    Body(Body),
}

impl Statement {
    pub(super) fn location(&self) -> Location {
        match self {
            Self::Package(package) => package.location,
            Self::Import(import) => import.location,
            Self::Rule(rule) => rule.location,
            Self::Body(body) => body.first().map(|expr| expr.location).unwrap_or_default(),
        }
    }
}

/// All of them; incomplete if there are errors.
pub(super) fn statements(parser: &mut Parser<'_>) -> Vec<Statement> {
    let mut statements = vec![];
    while !parser.is(Kind::Eof) && !parser.at_limit() && parser.statement(&mut statements).is_some() {
        // What failed there is of no use here.
        parser.tried = Default::default();
    }
    if !parser.is(Kind::Eof) && parser.has_no_errors() {
        parser.illegal("");
    }
    statements
}

impl Parser<'_> {
    /// A package, else an import, else a rule, else a query.
    fn statement(&mut self, statements: &mut Vec<Statement>) -> Option<()> {
        // Said here, because a package or an import would complain of the token after its keyword.
        if !self.skip_rules && self.keyword_as_rule_name(false) {
            return None;
        }
        let start = self.save();
        if self.is(Kind::Package) {
            if let Some(package) = self.package() {
                statements.push(Statement::Package(package));
                return self.path_ends();
            }
            if !self.has_no_errors() {
                return None;
            }
            self.restore(start.clone());
        }
        if self.is(Kind::Import) {
            if let Some(import) = self.import() {
                self.apply(&import);
                statements.push(Statement::Import(import));
                return self.path_ends();
            }
            if !self.has_no_errors() {
                return None;
            }
            self.restore(start.clone());
        }
        if !self.skip_rules {
            if let Some(rules) = self.rules() {
                statements.extend(rules.into_iter().map(Statement::Rule));
                return Some(());
            }
            if !self.has_no_errors() {
                return None;
            }
            self.restore(start);
        }
        self.count_rule();
        statements.push(Statement::Body(self.query(true, Kind::Eof)?));
        Some(())
    }

    /// A minus after a path is not part of it, and would be taken for the sign of the next statement.
    fn path_ends(&mut self) -> Option<()> {
        if self.is(Kind::Minus) {
            self.illegal("");
            return None;
        }
        Some(())
    }

    /// Whether a keyword stands where a rule's name should; that is an error then. After `default` comes a rule for sure.
    pub(super) fn keyword_as_rule_name(&mut self, after_default: bool) -> bool {
        use Kind::{Assign, Contains, If, LParen, Unify};

        // What, after the keyword, makes this a rule.
        let followers: &[Kind] = match self.kind() {
            Kind::Every | Kind::If | Kind::In | Kind::Some | Kind::As => &[Assign, Unify, If, Contains, LParen],
            // `not (x)` is a negation and `or(x, y)` a call.
            Kind::Not | Kind::LogicalAnd | Kind::LogicalOr => &[Assign, Unify, If, Contains],
            // `package contains` has a path.
            Kind::Package | Kind::Import => &[Assign, Unify, LParen],
            // `contains := x` may be a query.
            Kind::Contains => &[If, Contains],
            _ => return false,
        };
        let is = after_default || followers.contains(&self.peek());
        if is {
            self.error(self.location(), format!("{} keyword cannot be used for rule name", self.kind().name()));
        }
        is
    }

    /// To the path's first token. Gives nothing, and leaves no error, if the keyword begins a reference.
    fn path_start(&mut self) -> Option<()> {
        self.scan_tight();
        if matches!(self.kind(), Kind::Dot | Kind::LBrack) {
            return None;
        }
        if self.is(Kind::Whitespace) {
            self.scan();
        }
        if !self.is(Kind::Ident) && !self.is_keyword_in_references() {
            self.illegal("");
            return None;
        }
        self.as_name();
        Some(())
    }

    fn package(&mut self) -> Option<Package> {
        let location = self.location();
        self.path_start()?;
        let Some(term) = self.term() else {
            if self.has_no_errors() {
                self.error(self.location(), "expected path");
            }
            return None;
        };
        let path = match &term.kind {
            TermKind::Var(var) => vec![Arc::clone(&var.0)],
            TermKind::Ref(parts) => self.package_path(parts)?,
            _ => {
                self.illegal("");
                return None;
            }
        };
        Some(Package { location, path })
    }

    fn package_path(&mut self, parts: &[Term]) -> Option<Vec<Arc<str>>> {
        let mut path = vec![];
        for (i, part) in parts.iter().enumerate() {
            match &part.kind {
                TermKind::Var(var) if i == 0 => path.push(Arc::clone(&var.0)),
                TermKind::String(name) if i > 0 => path.push(Arc::clone(name)),
                _ => {
                    let expected = if i == 0 { "var" } else { "string" };
                    self.error(part.location, format!("unexpected {} token: expecting {expected}", part.type_name()));
                    return None;
                }
            }
        }
        Some(path)
    }

    fn import(&mut self) -> Option<Import> {
        let location = self.location();
        self.path_start()?;
        // A path may name what would be a keyword elsewhere; and so may the token after it, which is read with it.
        let keywords = std::mem::take(&mut self.keywords);
        let term = self.term();
        self.keywords = keywords;
        let path = match term {
            Some(Term { kind: TermKind::Ref(parts), .. }) => {
                let bad = parts.iter().skip(1).find(|part| !matches!(part.kind, TermKind::String(_)));
                if let Some(bad) = bad {
                    self.error(bad.location, format!("unexpected {} token: expecting string", bad.type_name()));
                    return None;
                }
                parts
            }
            Some(term @ Term { kind: TermKind::Var(_), .. }) => vec![term],
            _ => {
                self.error(self.location(), "expected path");
                return None;
            }
        };
        let root = path.first().and_then(Term::as_var).map(Var::as_str);
        if !matches!(root, Some("data" | "input" | "future" | "rego")) {
            self.hint("if this is unexpected, try updating OPA");
            let at = path.first().map(|term| term.location).unwrap_or_default();
            let got = root.unwrap_or_default();
            self.error(
                at,
                format!("unexpected import path, must begin with one of: {{data, future, input, rego}}, got: {got}"),
            );
            return None;
        }
        if self.is(Kind::As) {
            return Some(Import { location, path, alias: Some(self.alias()?) });
        }
        if root != Some("future") || path.len() == 1 {
            self.refuse_keyword_at_end(&path);
        }
        Some(Import { location, path, alias: None })
    }

    fn alias(&mut self) -> Option<Var> {
        self.scan();
        if !self.is(Kind::Ident) {
            self.illegal("expected var");
            return None;
        }
        match self.term() {
            Some(Term { kind: TermKind::Var(var), .. }) => Some(var),
            Some(term) if term.is_root() => {
                self.error(term.location, "unexpected import alias, must not be a reserved name");
                None
            }
            _ => {
                self.illegal("expected var");
                None
            }
        }
    }

    /// The last part is what the import is known by.
    fn refuse_keyword_at_end(&mut self, path: &[Term]) {
        let Some(last) = path.last() else { return };
        let name = last.as_str().or_else(|| last.as_var().map(Var::as_str)).unwrap_or_default();
        if is_keyword(name, self.version) {
            self.hint("import a different path or use an alias");
            let message = format!("unexpected import path, must not end with a keyword, got: {name}");
            self.error(last.location, message);
        }
    }

    /// What an import means for the rest of the text.
    fn apply(&mut self, import: &Import) {
        let root = import.path.first().and_then(Term::as_var).map(Var::as_str);
        match root {
            Some("rego") => self.apply_rego(import),
            Some("future") => self.apply_future(import),
            _ => return,
        }
        self.classify_again();
    }

    fn apply_rego(&mut self, import: &Import) {
        let at = import.path.first().map(|term| term.location).unwrap_or_default();
        let version = match import.path.as_slice() {
            [_, version] => version.as_str(),
            _ => None,
        };
        let (Some("v1" | "v2"), None) = (version, &import.alias) else {
            let message = match &import.alias {
                Some(_) if matches!(version, Some("v1" | "v2")) => "`rego` imports cannot be aliased".to_owned(),
                _ => {
                    let path = dotted(&import.path).unwrap_or_default();
                    format!("invalid import `{path}`, must be one of: `rego.v1`, `rego.v2`")
                }
            };
            return self.error(at, message);
        };
        [Kind::In, Kind::Every, Kind::Contains, Kind::If].into_iter().for_each(|kind| self.keywords.add(kind));
        if version == Some("v2") {
            [Kind::LogicalAnd, Kind::LogicalOr].into_iter().for_each(|kind| self.keywords.add(kind));
            self.plain_negation = true;
        }
    }

    fn apply_future(&mut self, import: &Import) {
        let at = import.path.first().map(|term| term.location).unwrap_or_default();
        let names: Vec<_> = import.path.iter().skip(1).map(|term| term.as_str().unwrap_or_default()).collect();
        if names.first() != Some(&"keywords") {
            return self.error(at, "invalid import, must be `future.keywords`");
        }
        if import.alias.is_some() {
            return self.error(at, "`future` imports cannot be aliased");
        }
        match names.as_slice() {
            [_, "in"] => self.keywords.add(Kind::In),
            [_, "every"] => self.keywords.add(Kind::Every),
            [_, "contains"] => self.keywords.add(Kind::Contains),
            [_, "if"] => self.keywords.add(Kind::If),
            [_, "and"] => self.keywords.add(Kind::LogicalAnd),
            [_, "or"] => self.keywords.add(Kind::LogicalOr),
            [_, "not"] => self.plain_negation = true,
            [_, _] => self.error(at, "unexpected keyword, must be one of [and contains every if in not or]"),
            // All of them. (What a longer path is, OPA doesn't look at.)
            _ => {
                self.keywords =
                    Keywords { not: true, is_in: true, every: true, contains: true, is_if: true, and: true, or: true };
                self.plain_negation = true;
            }
        }
    }
}

/// Whether the version has the word for a keyword, whatever is imported.
pub(super) fn is_keyword(name: &str, version: RegoVersion) -> bool {
    match name {
        "not" | "package" | "import" | "as" | "default" | "else" | "with" | "null" | "true" | "false" | "some" => true,
        "if" | "contains" | "in" | "every" => version == RegoVersion::V1,
        _ => false,
    }
}
