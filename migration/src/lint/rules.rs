//! The rules for statements of migrations. A statement that no rule knows is refused.

use std::collections::BTreeSet;

use sqlparser::ast::{
    AlterColumnOperation, AlterTableOperation, BinaryOperator, ColumnDef, ColumnOption, DataType, Expr, FromTable,
    Function, InTarget, ObjectName, ObjectType, Query, SetExpr, Statement, TableConstraint, TableWithJoins,
    UnaryOperator,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

/// A rule that a statement can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    Index,
    NotNullColumn,
    VolatileDefault,
    ColumnType,
    SetNotNull,
    ValidatedConstraint,
    DropOrRename,
    Truncate,
    LockTable,
    UnboundedChange,
    Cascade,
    Unexamined,
}

impl Rule {
    pub(super) const ALL: [Self; 12] = [
        Self::Index,
        Self::NotNullColumn,
        Self::VolatileDefault,
        Self::ColumnType,
        Self::SetNotNull,
        Self::ValidatedConstraint,
        Self::DropOrRename,
        Self::Truncate,
        Self::LockTable,
        Self::UnboundedChange,
        Self::Cascade,
        Self::Unexamined,
    ];
}

/// A rule that a statement breaks, and the object that the statement changes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    pub(super) rule: Rule,
    pub(super) subject: String,
}

/// Returns the rules that the statements of one migration break, in order.
pub(super) fn findings(sql: &str) -> Vec<Finding> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize().expect("the SQL must consist of tokens");
    let mut linter = Linter::default();
    for tokens in tokens.split(|token| *token == Token::SemiColon) {
        let is_empty = |token: &Token| matches!(token, Token::Whitespace(_));
        if tokens.iter().all(is_empty) {
            continue;
        }
        match parse(tokens) {
            Ok(statement) => linter.examine(&statement),
            Err(_) => linter.find(Rule::Unexamined, first_words(tokens)),
        }
    }
    linter.findings
}

fn parse(tokens: &[Token]) -> Result<Statement, ParserError> {
    let mut parser = Parser::new(&PostgreSqlDialect {}).with_tokens(tokens.to_vec());
    let statement = parser.parse_statement()?;
    parser.expect_token(&Token::EOF)?;
    Ok(statement)
}

/// Returns the first words of a statement: its name, and the beginning of its text.
fn first_words(tokens: &[Token]) -> String {
    let is_comment = |token: &&Token| !matches!(token, Token::Whitespace(Whitespace::SingleLineComment { .. }));
    let text: String = tokens.iter().filter(is_comment).map(ToString::to_string).collect();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

#[derive(Default)]
struct Linter {
    /// The tables that the migration has created.
    created: BTreeSet<String>,
    findings: Vec<Finding>,
}

impl Linter {
    fn find(&mut self, rule: Rule, subject: impl ToString) {
        self.findings.push(Finding { rule, subject: subject.to_string() });
    }

    fn find_if(&mut self, is_broken: bool, rule: Rule, subject: impl ToString) {
        if is_broken {
            self.find(rule, subject);
        }
    }

    /// Reports a broken rule unless the migration has created the table.
    fn find_on(&mut self, table: &impl ToString, rule: Rule) {
        let is_new = self.created.contains(&table.to_string());
        self.find_if(!is_new, rule, table.to_string());
    }

    fn examine(&mut self, statement: &Statement) {
        match statement {
            Statement::CreateTable(table) => {
                self.created.insert(table.name.to_string());
                if let Some(query) = &table.query {
                    self.examine_query(query);
                }
            }
            Statement::CreateIndex(index) => self.find_on(&index.table_name, Rule::Index),
            Statement::AlterTable(alter) => {
                for operation in &alter.operations {
                    self.examine_operation(&alter.name, operation);
                }
            }
            Statement::Drop { object_type, names, cascade, .. } => {
                for name in names {
                    match object_type {
                        ObjectType::Table | ObjectType::View | ObjectType::MaterializedView => {
                            self.find_on(name, Rule::DropOrRename);
                        }
                        ObjectType::Index => {}
                        _ => self.find(Rule::Unexamined, name),
                    }
                }
                self.find_if(
                    *cascade,
                    Rule::Cascade,
                    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                );
            }
            Statement::DropFunction(function) => {
                let name = function.func_desc.iter().map(|one| one.name.to_string()).collect::<Vec<_>>().join(", ");
                self.find_if(is_cascade(statement), Rule::Cascade, name);
            }
            Statement::Truncate(truncate) => {
                for target in &truncate.table_names {
                    self.find_on(&target.name, Rule::Truncate);
                }
                self.find_if(is_cascade(statement), Rule::Cascade, "TRUNCATE");
            }
            Statement::Lock(lock) => lock.tables.iter().for_each(|table| self.find_on(&table.name, Rule::LockTable)),
            Statement::Update(update) => {
                if !is_bounded(update.selection.as_ref()) {
                    self.find_on(&update.table.relation, Rule::UnboundedChange);
                }
            }
            Statement::Delete(delete) => {
                let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
                for TableWithJoins { relation, .. } in tables {
                    if !is_bounded(delete.selection.as_ref()) {
                        self.find_on(relation, Rule::UnboundedChange);
                    }
                }
            }
            Statement::Insert(insert) => {
                if let Some(query) = &insert.source {
                    let is_constant = matches!(*query.body, SetExpr::Values(_)) && query.with.is_none();
                    if !is_constant {
                        self.find_on(&insert.table, Rule::UnboundedChange);
                    }
                }
            }
            Statement::Query(query) => self.examine_query(query),
            Statement::DropTrigger(_) | Statement::DropPolicy(_) => {
                self.find_if(is_cascade(statement), Rule::Cascade, statement);
            }
            Statement::CreateView(_)
            | Statement::CreateFunction(_)
            | Statement::CreateTrigger(_)
            | Statement::CreatePolicy(_)
            | Statement::Grant(_)
            | Statement::Revoke(_)
            | Statement::Comment { .. } => {}
            other => {
                self.find(Rule::Unexamined, other.to_string().split_whitespace().take(3).collect::<Vec<_>>().join(" "))
            }
        }
    }

    /// Examines the statements that change data inside a query.
    fn examine_query(&mut self, query: &Query) {
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.examine_query(&table.query);
        }
        match &*query.body {
            SetExpr::Insert(change) | SetExpr::Update(change) | SetExpr::Delete(change) | SetExpr::Merge(change) => {
                self.examine(change);
            }
            SetExpr::Query(inner) => self.examine_query(inner),
            _ => {}
        }
    }

    fn examine_operation(&mut self, table: &ObjectName, operation: &AlterTableOperation) {
        use AlterTableOperation as Op;
        let mut find = |rule| self.find_on(table, rule);
        match operation {
            Op::AddColumn { column_def, .. } => added_column(column_def).into_iter().for_each(find),
            Op::AlterColumn { op, .. } => match op {
                AlterColumnOperation::SetDataType { .. } => find(Rule::ColumnType),
                AlterColumnOperation::SetNotNull => find(Rule::SetNotNull),
                AlterColumnOperation::DropNotNull
                | AlterColumnOperation::SetDefault { .. }
                | AlterColumnOperation::DropDefault => {}
                _ => find(Rule::Unexamined),
            },
            Op::AddConstraint { constraint, not_valid } => match constraint {
                TableConstraint::UniqueUsingIndex(_) | TableConstraint::PrimaryKeyUsingIndex(_) => {}
                TableConstraint::Check(_) | TableConstraint::ForeignKey(_) if *not_valid => {}
                TableConstraint::Exclude(_) => find(Rule::Unexamined),
                _ => find(Rule::ValidatedConstraint),
            },
            Op::DropColumn { .. } | Op::RenameColumn { .. } | Op::RenameTable { .. } => find(Rule::DropOrRename),
            Op::DropConstraint { .. }
            | Op::ValidateConstraint { .. }
            | Op::RenameConstraint { .. }
            | Op::EnableRowLevelSecurity
            | Op::ForceRowLevelSecurity => {}
            _ => find(Rule::Unexamined),
        }
        let text = operation.to_string();
        let is_drop = matches!(operation, Op::DropColumn { .. } | Op::DropConstraint { .. });
        self.find_if(is_drop && text.ends_with("CASCADE"), Rule::Cascade, table);
    }
}

/// Returns `true` if the text of a statement that drops objects ends with `CASCADE`.
fn is_cascade(statement: &Statement) -> bool {
    statement.to_string().ends_with("CASCADE")
}

/// Returns the rules that a new column of an existing table breaks.
fn added_column(column: &ColumnDef) -> BTreeSet<Rule> {
    let options = || column.options.iter().map(|option| &option.option);
    let default = options().find_map(|option| match option {
        ColumnOption::Default(value) => Some(value),
        _ => None,
    });
    let mut broken = BTreeSet::new();
    let is_serial = matches!(&column.data_type, DataType::Custom(name, _)
        if name.to_string().to_lowercase().ends_with("serial"));
    if is_serial || default.is_some_and(|value| !is_stable(value)) {
        broken.insert(Rule::VolatileDefault);
    }
    for option in options() {
        match option {
            ColumnOption::NotNull if default.is_none_or(is_null) => _ = broken.insert(Rule::NotNullColumn),
            ColumnOption::Generated { .. } | ColumnOption::Identity(_) => _ = broken.insert(Rule::VolatileDefault),
            ColumnOption::Check(_)
            | ColumnOption::ForeignKey(_)
            | ColumnOption::Unique(_)
            | ColumnOption::PrimaryKey(_) => _ = broken.insert(Rule::ValidatedConstraint),
            ColumnOption::NotNull | ColumnOption::Null | ColumnOption::Default(_) | ColumnOption::Collation(_) => {}
            _ => _ = broken.insert(Rule::Unexamined),
        }
    }
    broken
}

fn is_null(value: &Expr) -> bool {
    value.to_string().eq_ignore_ascii_case("NULL")
}

/// Returns `true` if PostgreSQL evaluates the default once for all existing rows, and does not rewrite the table.
fn is_stable(value: &Expr) -> bool {
    const STABLE: [&str; 3] = ["now", "current_timestamp", "transaction_timestamp"];
    match value {
        Expr::Value(_) | Expr::TypedString(_) => true,
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } | Expr::Nested(expr) | Expr::Cast { expr, .. } => {
            is_stable(expr)
        }
        Expr::Function(Function { name, .. }) => STABLE.contains(&name.to_string().to_lowercase().as_str()),
        _ => false,
    }
}

/// Returns `true` if the condition limits the rows to those with listed values of a column.
fn is_bounded(condition: Option<&Expr>) -> bool {
    let is_constant = |value: &Expr| matches!(value, Expr::Value(_));
    match condition {
        Some(Expr::BinaryOp { left, op: BinaryOperator::And, right }) => {
            is_bounded(Some(left)) || is_bounded(Some(right))
        }
        Some(Expr::BinaryOp { left, op: BinaryOperator::Eq, right }) => {
            matches!(**left, Expr::Identifier(_)) && is_constant(right)
        }
        Some(Expr::In { expr, target: InTarget::List(list), negated: false, .. }) => {
            matches!(**expr, Expr::Identifier(_)) && list.iter().all(is_constant)
        }
        Some(Expr::Nested(inner)) => is_bounded(Some(inner)),
        _ => false,
    }
}
