-- Both projections over a real log, the public history of a C project, against
-- figures that SQL computes from the imported events.

local helper = require "spec.helper"
local lunette = require "lunette"

local log = os.getenv "LUNETTE_HISTORY"
  or helper.root .. "/../shared/data/redis-history.jsonl.gz"

local function exists(path)
  local file = io.open(path, "rb")
  return file and file:close() ~= nil
end

local moment = "strftime('%Y-%m-%dT%H:%M:%S', at / 1000000, 'unixepoch')"
  .. " || printf('.%06dZ', at % 1000000)"

local activity_sql = [[
  WITH commits AS (
    SELECT recorded_at AS at,
      data ->> 'author' AS author,
      strftime('%Y-%m', recorded_at / 1000000, 'unixepoch') AS month,
      data ->> 'files' AS files,
      data ->> 'added' AS added,
      data ->> 'deleted' AS deleted
    FROM events WHERE type = 'CommitMade'
  ), months AS (
    SELECT author, month, count(*) AS commits, sum(files) AS files,
      sum(added) AS added, sum(deleted) AS deleted,
      min(at) AS first, max(at) AS last
    FROM commits GROUP BY author, month
  )
  SELECT author || ':' || month AS id, author, month, commits, files, added,
    deleted,
    (SELECT MOMENT FROM (SELECT first AS at)) AS first_commit,
    (SELECT MOMENT FROM (SELECT last AS at)) AS last_commit
  FROM months ORDER BY id]]

local churn_sql = [[
  WITH changes AS (
    SELECT position, recorded_at AS at,
      data ->> 'path' AS path,
      data ->> 'author' AS author,
      data ->> 'added' AS added,
      data ->> 'deleted' AS deleted
    FROM events WHERE type = 'FileChanged'
  ), files AS (
    SELECT path, count(*) AS changes, count(*) - count(added) AS binary_changes,
      total(added) AS added, total(deleted) AS deleted,
      count(DISTINCT author) AS author_count, max(position) AS last
    FROM changes GROUP BY path
  ), authors AS (
    SELECT path, json_group_object(author, n) AS authors
    FROM (SELECT path, author, count(*) AS n FROM changes GROUP BY 1, 2)
    GROUP BY path
  )
  SELECT path AS id, changes, binary_changes,
    CAST(files.added AS INTEGER) AS added,
    CAST(files.deleted AS INTEGER) AS deleted,
    CAST(files.added + files.deleted AS INTEGER) AS churn,
    authors, author_count, changes.author AS last_author,
    MOMENT AS last_change
  FROM files JOIN authors USING (path)
    JOIN changes USING (path) WHERE changes.position = last ORDER BY id]]

describe("the history of a public project", function()
  if not exists(log) then
    pending("is not at " .. log .. " (LUNETTE_HISTORY names the file)")
    return
  end

  local database, engine

  local function import(events)
    local list = {}
    for line in events:lines() do
      local event = lunette.decode(line)
      list[#list + 1] = {
        stream = event.stream,
        type = event.type,
        recorded_at = event.at,
        expected_version = event.version - 1,
        data = event.data,
      }
      if #list == 5000 then
        assert(engine:append(list))
        list = {}
      end
    end
    assert(engine:append(list))
  end

  local function sql(statement)
    local code, out, err = helper.run {
      "sqlite3", "-readonly", "-json", database,
      (statement:gsub("MOMENT", function()
        return moment
      end)),
    }
    assert.equal(0, code, err)
    return lunette.decode(out)
  end

  setup(function()
    database = helper.tmpdir() .. "/history.db"
    engine = assert(lunette.open {
      events = "sqlite:" .. database,
      models = "sqlite:" .. database,
      query_limit_max = 100000,
    })
    local events = assert(io.popen("gzip -dc '" .. log .. "'"))
    import(events)
    events:close()
    for _, name in ipairs { "author_activity", "file_churn" } do
      local path = helper.root .. "/projections/" .. name .. ".lua"
      assert.equal(name, assert(engine:register(path)))
    end
    assert(engine:run_once())
  end)

  teardown(function()
    if engine then
      engine:close()
    end
  end)

  it("is imported whole", function()
    local lines = assert(io.popen("gzip -dc '" .. log .. "' | wc -l"))
    local count = lines:read "n"
    lines:close()
    assert.same({ { n = count } }, sql "SELECT count(*) AS n FROM events")
  end)

  it("gives the activity of each author and month as SQL counts it",
    function()
      local expected = sql(activity_sql)
      local rows = assert(engine:query("author_activity",
        { "order=id", "limit=100000" }))
      assert.is_true(#expected > 1000)
      assert.equal(#expected, #rows)
      assert.same(expected, rows)
    end)

  it("gives the churn of each file as SQL counts it", function()
    local expected = sql(churn_sql)
    for _, row in ipairs(expected) do
      row.authors = lunette.decode(row.authors)
    end
    local rows = assert(engine:query("file_churn",
      { "order=id", "limit=100000" }))
    assert.is_true(#expected > 1000)
    assert.equal(#expected, #rows)
    assert.same(expected, rows)
  end)

  it("shows the same rows to the sqlite3 shell", function()
    local rows = assert(engine:query("author_activity", { "order=id",
      "limit=100" }))
    assert.same(rows, sql "SELECT * FROM author_activity ORDER BY id LIMIT 100")
  end)

  it("answers which month was the busiest", function()
    local rows = assert(engine:query("author_activity",
      { "order=commits.desc", "limit=1", "select=month,commits" }))
    local expected = sql [[
      SELECT strftime('%Y-%m', recorded_at / 1000000, 'unixepoch') AS month,
        count(*) AS commits
      FROM events WHERE type = 'CommitMade'
      GROUP BY data ->> 'author', month ORDER BY commits DESC, data ->> 'author'
      LIMIT 1]]
    assert.same(expected, rows)
  end)
end)
