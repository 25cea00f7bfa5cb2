// Reads {url, user, password, database, queries} from standard input and answers with one line of JSON for each query:
// its rows, or ClickHouse's own code and text. Nothing but ClickHouse's client, with compression and progress headers on.
const { createClient } = require('@clickhouse/client')

async function main() {
  const chunks = []
  for await (const chunk of process.stdin) chunks.push(chunk)
  const given = JSON.parse(Buffer.concat(chunks).toString())
  const client = createClient({
    url: given.url,
    username: given.user,
    password: given.password,
    database: given.database,
    compression: { response: true, request: false },
    clickhouse_settings: { send_progress_in_http_headers: 1, http_headers_progress_interval_ms: '100' },
  })
  for (const { sql, parameters } of given.queries) {
    try {
      const answer = await client.query({ query: sql, query_params: parameters, format: 'JSONCompact' })
      console.log(JSON.stringify({ rows: (await answer.json()).data }))
    } catch (error) {
      console.log(JSON.stringify({ code: Number(error.code), text: error.message }))
    }
  }
  await client.close()
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
