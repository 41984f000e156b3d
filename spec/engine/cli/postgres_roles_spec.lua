-- The statements of docs/operations.md, with roles that have nothing else.

local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local workplace = require "spec.engine.cli.workplace"

local server, reason = postgres.start()

-- The SQL of the page, by the comment each block begins with.
local function block(comment)
  for sql in helper.read_file "docs/operations.md":gmatch "```sql\n(.-)```" do
    if sql:find("-- " .. comment, 1, true) == 1 then
      return sql
    end
  end
  error("docs/operations.md has no SQL that begins with -- " .. comment)
end

describe("the roles of docs/operations.md #postgres", function()
  if not server then
    pending(reason)
    return
  end

  local place, database

  before_each(function()
    place = workplace.new()
    database = server:new_database()
    place.env.LUNETTE_EVENTS = database.url
    place:counter("handles = { \"Counted\" },",
      "handles = { \"Counted\" }, on_error = \"park\", "
        .. "indexes = { \"total\" },")
    place:count("a", 1)
    database:sql(block "in the database of the models")
    database:sql(block "in the database of the events")
    place.env.LUNETTE_EVENTS = database:with(nil, "lunette")
    place.env.LUNETTE_MODELS = database:with(nil, "lunette")
    place:done { "run", "--once" }
  end)

  after_each(function()
    database:drop()
    server:sql("postgres", "DROP ROLE lunette, reports")
  end)

  local function append(data)
    place:done { "append", "-e", database.url, "--stream", "s", "--type",
      "Counted", "--data", data }
  end

  local function total()
    return database:sql("SELECT total FROM lunette.counter WHERE id = 'a'",
      "reports")
  end

  local function denied(sql)
    local done, message = pcall(database.sql, database, sql, "reports")
    assert.is_false(done)
    assert.matches("permission denied", message)
  end

  it("let one run projections and another read them", function()
    assert.equal("1", total())
    denied "DELETE FROM lunette.counter"
    denied "CREATE TABLE lunette.mine (n integer)"
    denied "SELECT * FROM lunette_events"
    assert.equal("1", database:sql [[
      SELECT count(*) FROM pg_indexes
      WHERE indexname = 'counter__b1__total']])
  end)

  it("stay over a rebuild and a new version", function()
    append '{"id":"a","n":2}'
    place:done { "rebuild", "counter" }
    place:done { "run", "--once" }
    assert.equal("3", total())
    local script = place:read "projections/counter.lua"
    place:write("projections/counter.lua",
      (script:gsub("version = 1", "version = 2")))
    place:done { "rebuild", "counter" }
    place:done { "run", "--once" }
    assert.equal("3", total())
  end)

  it("let the reader ask Lunette, and change nothing", function()
    local reading = { env = { LUNETTE_MODELS = database:with(nil, "reports") } }
    assert.matches("a", place:done({ "query", "counter" }, reading))
    assert.matches("counter", place:done({ "status" }, reading))
    for _, words in ipairs {
      { "pause", "counter" }, { "rebuild", "counter" }, { "run", "--once" },
    } do
      local code, _, err = place:run(words, reading)
      assert.equal(1, code)
      assert.matches("permission denied.*grant this role", err)
    end
  end)

  it("let it be known which server it is, or say what to grant", function()
    append '{"id":"a","n":2}'
    database:sql "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC"
    local code, _, err = place:run { "run", "--once" }
    assert.equal(1, code)
    assert.matches('where one has "?" its role may not ask', err, 1, true)
    assert.equal("1", total())
    database:sql "GRANT EXECUTE ON FUNCTION pg_control_system() TO lunette"
    place:done { "run", "--once" }
    assert.equal("3", total())
  end)

  it("go on under another identity that is adopted", function()
    append '{"id":"a","n":2}'
    database:sql [[
      UPDATE lunette.lunette_checkpoints SET identity = identity || '1']]
    local code, _, err = place:run { "run", "--once" }
    assert.equal(1, code)
    assert.matches("lunette checkpoint adopt counter", err, 1, true)
    place:done { "checkpoint", "adopt", "counter" }
    place:done { "run", "--once" }
    assert.equal("3", total())
  end)

  it("hide parked events from the reader of models", function()
    append '{"id":"a","n":"much"}'
    place:run { "run", "--once" }
    assert.equal("1", database:sql(
      "SELECT count(*) FROM lunette.lunette_parked", "reports"))
    database:sql(block "after the first start")
    denied "SELECT * FROM lunette.lunette_parked"
    assert.equal("1", total())
  end)
end)
