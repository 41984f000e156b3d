-- Every block of the documentation is run, or checked as far as it can be. The
-- table names each by the text it begins with; one that is not in it fails.

local helper = require "spec.helper"
local pages = require "spec.docs.pages"
local postgres = require "spec.postgres_server"
local gap_layouts = require "spec.stores.postgres.events.gap_layouts"
local layouts = require "spec.stores.postgres.events.layouts"
local workplace = require "spec.engine.cli.workplace"

local server, no_server = postgres.start()

-- ---- ways to run a block. Each gets the block and a folder of its own with
-- the shipped projections and the README's own in it.

local place

-- What the run of specs has in its environment is no setting of the command.
local no_settings =
  "unset $(env | sed -n 's/^\\(LUNETTE_[A-Z_]*\\)=.*/\\1/p'); "

local function run(argv)
  return helper.run(argv, {
    cwd = place.folder,
    env = {
      PATH = helper.build .. ":" .. os.getenv "PATH",
      LC_ALL = "C.UTF-8",
      LUA_PATH = helper.root .. "/lua/?.lua;" .. helper.root
        .. "/lua/?/init.lua;;",
      LUA_CPATH = helper.build .. "/spec/lua/?.so;;",
    },
  })
end

local function shell(command)
  return run { "sh", "-c", no_settings .. command }
end

-- What it prints, in the order in which a person sees it.
local function succeed(command)
  local code, out = shell("exec 2>&1; " .. command)
  assert(code == 0, command .. " ended with " .. code .. ": " .. out)
  return out
end

-- A whole script, checked; `name` is the file it is.
local function script(name)
  return function(block)
    place:write(name or "script.lua", block.text)
    place:done { "check", name or "script.lua" }
  end
end

-- Lines of a declaration, checked within a script that works.
local function declaration(block)
  place:write("script.lua", ([[
    return {
      name = "script",
      version = 1,
      extract_model_id = function(event) return event.stream end,
      apply_to_model = function(model) return model or {} end,
      %s
    }]]):format(block.text:gsub("%s*$", ""):gsub("([^,{])$", "%1,")))
  place:done { "check", "script.lua" }
end

-- A handle_query of account_summary, asked for rows that lack what it reads.
local function query_handler(block)
  local text = place:read "projections/account_summary.lua"
  text = text:gsub("\n}%s*$", function() return block.text .. "}" end)
  text = text:gsub("([^,{]\n)handle_query", ",%1handle_query")
  place:write("projections/account_summary.lua", text)
  place:done { "append", "--stream", "a", "--type", "AccountOpened", "--data",
    '{"account_id":"a","owner":"Ada"}' }
  place:done { "run", "--once" }
  place:sql("bank.db", "INSERT INTO account_summary__b1 (id) VALUES ('b')")
  for _, term in ipairs { "select=id", "order=id", "id=eq.b" } do
    place:done { "query", "account_summary", term }
  end
end

-- Lines within a function, of which an ellipsis is left out.
local function statements(block)
  local text = block.text:gsub("…", "")
  assert(load("local event = ...\n" .. text, "=block"))
end

local function settings(block)
  place:write("lunette.lua", block.text)
  succeed "lunette append --stream a --type T --data {} && lunette run --once"
  assert.equal(1, (shell "lunette get account_summary a"))
end

-- Of two runs only the figures may differ.
local function without_figures(text)
  return (text:gsub("%d%d%d%d%-%d%d%-%d%dT[%d:.]+Z", "TIME")
    :gsub(" in [%d.,]+ m?s %([%d.,]+/s%)", " in TIME"))
end

-- Commands with a prompt, and what they print. They share a shell's variables.
local function session(block)
  local before = ""
  for _, step in ipairs(pages.session(block.text)) do
    if step.command:find "^export " then
      before = before .. step.command .. "; "
    else
      local out = succeed(before .. step.command)
      assert.equal(without_figures(step.output), without_figures(out))
    end
  end
end

-- A program that uses the rock; prints of it are compared with "--> ".
local function program(before)
  return function(block)
    place:write("program.lua", (before or "") .. block.text)
    local code, out, err = run { "lua5.4", "program.lua" }
    assert(code == 0, err .. out)
    local expected = block.text:match "%-%-> ([^\n]*)"
    if expected then
      assert.equal(expected .. "\n", out)
    end
  end
end

local function needs_server()
  if not server then
    pending(no_server)
  end
  return server
end

-- Commands on the event store of an example, which is one with these tables.
local outbox = { schema = [[CREATE TABLE order_outbox (event_id uuid
  PRIMARY KEY, aggregatetype text, aggregateid text, type text, payload jsonb,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp())]] }

local function on_layouts(block)
  if not needs_server() then
    return
  end
  for command in block.text:gmatch "[^\n]+" do
    local name = command:match "layout=([%w_-]+)"
    local database = server:new_database()
    if command:find "postgres://" then
      database:sql((layouts[name] or gap_layouts[name] or outbox).schema)
      command = command:gsub("postgres://reader@db/shop%?", function()
        return database:with ""
      end)
    else
      place:sql("shop.db", [[CREATE TABLE emt_messages (stream_id TEXT,
        stream_position BIGINT, partition TEXT, message_kind CHAR(1),
        message_data JSONB, message_metadata JSONB, message_schema_version
        TEXT, message_type TEXT, message_id TEXT UNIQUE, is_archived BOOLEAN,
        global_position INTEGER PRIMARY KEY, created DATETIME)]])
    end
    succeed((command:gsub("lunette run", "lunette run --once", 1)))
    database:drop()
  end
end

-- Commands that look at a projection that has run.
local function on_models(block)
  place:write("projections/orders.lua",
    helper.read_file(helper.root .. "/projections/account_summary.lua")
      :gsub("account_summary", "orders", 1))
  place:write("projections/people.lua", [[return {
    name = "people", version = 1, fields = { name = "text", address = "json" },
    extract_model_id = function(event) return event.stream end,
    apply_to_model = function() return { address = { city = "York" } } end,
  }]])
  place:done { "append", "--stream", "a", "--type", "AccountOpened", "--data",
    '{"account_id":"a","owner":"Ada"}' }
  place:done { "run", "--once" }
  for command in block.text:gsub("\\\n%s*", ""):gmatch "[^\n]+" do
    succeed("export LUNETTE_EVENTS=sqlite:bank.db "
      .. "LUNETTE_MODELS=sqlite:bank.db; "
      .. command:gsub("NAME", "orders"))
  end
end

local function on_sqlite_events(block)
  place:done { "append", "--stream", "account:acc-0000001", "--type", "T",
    "--data", "{}", "--id", "first" }
  for version = 2, 7 do
    place:done { "append", "--stream", "account:acc-0000001", "--type", "T",
      "--data", "{}", "--id", "at-" .. version }
  end
  place:sql("bank.db", block.text)
  assert.equal("8", place:sql("bank.db", "SELECT count(*) FROM events"))
end

local function on_own_table(block)
  if not needs_server() then
    return
  end
  local database = server:new_database()
  place:done { "append", "-e", database.url, "--stream",
    "account:acc-0000001", "--type", "T", "--data", "{}" }
  database:sql [[SELECT lunette_append('account:acc-0000001', 'T', '{}')
    FROM generate_series(2, 7)]]
  database:sql(block.text)
  assert.equal("8", database:sql "SELECT max(version) FROM lunette_events")
  database:drop()
end

local function on_postgres(before, roles)
  return function(block)
    if not needs_server() then
      return
    end
    local database = server:new_database()
    for _, statement in ipairs(before) do
      database:sql(statement)
    end
    database:sql(block.text)
    database:drop()
    for _, role in ipairs(roles or {}) do
      server:sql("postgres", "DROP ROLE " .. role)
    end
  end
end

-- Another spec file runs it: it has these words (the page) in it.
local function elsewhere(spec, words)
  return function(_, page)
    local text = helper.read_file(helper.root .. "/" .. spec)
    assert.truthy(text:find(words or page, 1, true),
      spec .. " does not name " .. (words or page))
  end
end

local function specs_of_a_script(block)
  if helper.missing "busted" then
    pending(helper.missing "busted")
    return
  end
  place:write("account_summary_spec.lua", block.text)
  place:done({ "test", "account_summary_spec.lua" },
    workplace.as_interpreter)
end

local function backup(block)
  place:done { "append", "-e", "sqlite:events.db", "--stream", "a", "--type",
    "T", "--data", "{}" }
  succeed((block.text:gsub("/backup/", place.folder .. "/copy-")))
  assert.equal("1", place:sql("copy-events.db", "SELECT count(*) FROM events"))
end

-- Words after "make" are targets.
local function make_targets(block)
  for line in block.text:gmatch "[^\n]+" do
    local targets = line:match "^make (.-)%s%s"
    for target in (targets or ""):gmatch "%S+" do
      local _, list = helper.run({ "make", "-C", helper.root, "-qp", target })
      assert.truthy(list:find("\n" .. target .. ":", 1, true),
        "there is no target " .. target)
    end
  end
end

local function picture() end

local function balances_program(block)
  place:done { "append", "--stream", "a1", "--type", "AccountOpened", "--data",
    '{"account_id":"a1","owner":"Ada"}' }
  program()(block)
end

-- In an installation of what was built, whose prefix is a folder of the spec's.
local function installed_program(block)
  if os.getenv "LUNETTE_SANITIZE" then
    pending "is linked without sanitizers; see the plain run"
    return
  end
  local prefix = place:path "installed"
  succeed(("make -s -C %s install BUILD=%s PREFIX=%s >/dev/null"):format(
    helper.root, helper.build, prefix))
  succeed(("export PKG_CONFIG_PATH=%s/lib/pkgconfig; %s"):format(prefix,
    block.text))
  helper.mkdir(place:path "data")
  assert.matches("lamp", succeed "./embed data", 1, true)
end

local function move_log(block)
  if not needs_server() then
    return
  end
  local database = server:new_database()
  for i = 1, 3 do
    place:done { "append", "--stream", "s" .. i % 2, "--type", "T", "--data",
      '{"a": 1e3, "b": "ü"}', "--metadata", i == 1 and "[]" or "null" }
  end
  succeed((block.text:gsub("postgres:///bank", function()
    return "'" .. database.url .. "'"
  end)))
  local function list(url)
    return (place:done { "events", "--json", "-e", url }
      :gsub('"position":"[^"]*",', ""))
  end
  assert.equal(list "sqlite:bank.db", list(database.url))
  database:drop()
end

local function unit(block)
  local command = block.text:match "ExecStart=%S*/(lunette [^\n]*)"
  assert.equal("lunette run", command)
end

local opened = [[
  local lunette = require "lunette"
  local engine = assert(lunette.open { events = "memory:", models = "memory:" })
  assert(engine:register "projections/account_summary.lua")
  assert(engine:append { stream = "a", type = "AccountOpened",
    data = { account_id = "a1", owner = "Ada" } })
  assert(engine:run_once())
]]

local runs = {
  ["README.md"] = {
    { "make demo", make_targets },
    { "-- balances.lua", script "balances.lua" },
    { "$ export LUNETTE_EVENTS", session },
    { "-- lunette.lua", settings },
    { "lunette run -e 'postgres", on_layouts },
    { 'local lunette = require "lunette"', balances_program },
  },
  ["CONTRIBUTING.md"] = { { "make  ", make_targets } },
  ["docs/architecture.md"] = { { "event store", picture } },
  ["docs/embedding.md"] = {
    { "luarocks", elsewhere("spec/lua/rock_spec.lua", "luarocks") },
    { 'local lunette = require "lunette"', program() },
    { "local rich", program(opened) },
    { "cc -o embed", elsewhere("spec/examples/embed_spec.lua",
      "examples/embed.c") },
    { "cc -o embed", installed_program },
  },
  ["docs/event-stores.md"] = {
    { "lunette run -e", on_layouts },
    { "lunette run -e", on_layouts },
    { "lunette gaps", on_models },
    { "lunette layouts", elsewhere("spec/engine/cli/layouts_spec.lua",
      '"layouts", name, "--sql"') },
    { "CREATE ROLE reader", on_postgres({ gap_layouts.marten.schema },
      { "reader" }) },
    { "GRANT EXECUTE", on_postgres({ "CREATE ROLE reader" }, { "reader" }) },
    { "lunette checkpoint adopt", on_models },
  },
  ["docs/event-table-postgres.md"] = {
    { "CREATE TABLE", elsewhere "spec/stores/postgres/formats_spec.lua" },
    { "SELECT lunette_append", on_own_table },
    { "SELECT lunette_append", on_own_table },
    { "SELECT lunette_append", on_own_table },
    { "INSERT INTO", on_own_table },
    { "-- who opens", elsewhere
      "spec/stores/postgres/events/events_spec.lua" },
  },
  ["docs/event-table.md"] = {
    { "CREATE TABLE", elsewhere "spec/stores/sqlite/formats_spec.lua" },
    { "INSERT INTO", on_sqlite_events },
    { "INSERT INTO", on_sqlite_events },
    { "INSERT INTO", on_sqlite_events },
  },
  ["docs/operations.md"] = {
    { "[Unit]", unit },
    { "sqlite3 events.db", backup },
    { "-- in the database", elsewhere
      "spec/engine/cli/postgres_roles_spec.lua" },
    { "-- after the first", elsewhere
      "spec/engine/cli/postgres_roles_spec.lua" },
    { "-- in the database", elsewhere
      "spec/engine/cli/postgres_roles_spec.lua" },
    { "SELECT pid", on_postgres {} },
    { "lunette events", move_log },
  },
  ["docs/performance.md"] = { { "make bench", make_targets } },
  ["docs/projections.md"] = {
    { "return {", script() },
    { "fields = { {", declaration },
    { "fields = { id", declaration },
    { "extract_model_id", declaration },
    { "local lines", statements },
    { "handle_query", query_handler },
    { "local replay", specs_of_a_script },
  },
  ["docs/query.md"] = {
    { "lunette query account_summary", on_models },
    { "lunette query account_summary 'or", on_models },
    { "or=(", elsewhere "spec/engine/query/query_spec.lua" },
    { "local rich", program(opened) },
    { "balance=", elsewhere "spec/engine/query/query_spec.lua" },
  },
  ["examples/history/README.md"] = { { "$ export", session } },
  ["stores/README.md"] = { { "INSERT INTO", on_sqlite_events } },
}

describe("the documentation", function()
  before_each(function()
    place = workplace.new()
    for _, folder in ipairs { "projections", "examples" } do
      helper.run({ "cp", "-r", helper.root .. "/" .. folder, place.folder })
    end
    place:write("balances.lua", pages.blocks("README.md")[2].text)
  end)

  for _, page in ipairs(pages.all()) do
    local blocks, ways = pages.blocks(page), runs[page] or {}
    for i, block in ipairs(blocks) do
      it(("holds: %s:%d"):format(page, block.line), function()
        assert(ways[i], "nothing runs the block that begins with "
          .. block.text:match "[^\n]*")
        assert.equal(ways[i][1], block.text:sub(1, #ways[i][1]))
        ways[i][2](block, page)
      end)
    end

    it("has the blocks that are run: " .. page, function()
      assert.equal(#ways, #blocks)
    end)
  end
end)
