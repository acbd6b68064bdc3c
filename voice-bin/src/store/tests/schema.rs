//! Both databases have the same tables: names, columns, types, what may be empty, keys.

use super::*;

/// Table, column, type, whether it may be empty, place in the primary key.
type Column = (String, String, String, bool, i64);

async fn rows(store: &Store, sql: &'static str) -> Vec<Column> {
    let rows = store.engine.read(Statement::new(sql)).await.unwrap();
    let column = |row: &engine::Row| {
        let kind = match row.text(2).unwrap().to_lowercase().as_str() {
            "integer" | "bigint" => "number".to_owned(),
            other => other.to_owned(),
        };
        let key = row.int(4).unwrap();
        // SQLite does not say of a key's columns in tables of its own that they cannot be empty.
        (row.text(0).unwrap(), row.text(1).unwrap(), kind, key == 0 && row.int(3).unwrap() == 1, key)
    };
    let mut rows: Vec<_> = rows.iter().map(column).collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn both_databases_have_the_same_tables() {
    let Some(url) = crate::services::postgres("both_databases_have_the_same_tables").await else { return };
    let (sqlite, postgres) =
        (Store::open("sqlite::memory:").await.unwrap(), Store::open(&url).await.unwrap());
    let of_sqlite = rows(
        &sqlite,
        "SELECT m.name, c.name, c.type, CASE c.\"notnull\" WHEN 0 THEN 1 ELSE 0 END, c.pk
         FROM sqlite_master m, pragma_table_info(m.name) c
         WHERE m.type = 'table' AND m.name NOT LIKE '\\_sqlx%' ESCAPE '\\' AND m.name NOT LIKE 'sqlite%'",
    )
    .await;
    let of_postgres = rows(
        &postgres,
        "SELECT c.table_name::text, c.column_name::text, c.data_type::text,
                CASE c.is_nullable WHEN 'YES' THEN 1::bigint ELSE 0::bigint END,
                COALESCE((SELECT k.ordinal_position::bigint FROM information_schema.key_column_usage k
                          WHERE k.table_name = c.table_name AND k.column_name = c.column_name
                            AND k.table_schema = c.table_schema), 0)
         FROM information_schema.columns c
         WHERE c.table_schema = 'public' AND c.table_name NOT LIKE '\\_sqlx%'",
    )
    .await;
    assert!(of_sqlite.len() > 50, "{of_sqlite:?}");
    assert_eq!(of_sqlite, of_postgres);
    let indexes = async |store: &Store, sql: &'static str| {
        let rows = store.engine.read(Statement::new(sql)).await.unwrap();
        rows.iter().map(|row| row.text(0).unwrap()).collect::<Vec<_>>()
    };
    let of_sqlite = indexes(
        &sqlite,
        "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'calls%' ORDER BY 1",
    );
    let of_postgres = indexes(
        &postgres,
        "SELECT indexname::text FROM pg_indexes WHERE schemaname = 'public' AND indexname LIKE 'calls\\_by%'
         OR indexname LIKE 'calls\\_under%' ORDER BY 1",
    );
    assert_eq!(of_sqlite.await, of_postgres.await);
}
