-- Both projections over a real log, the public history of a C project, against
-- figures that SQL computes from the imported events.

local helper = require "spec.helper"
local lunette = require "lunette"

local log = helper.root .. "/examples/history/redis.jsonl.gz"

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
  local database, engine

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
    local code, _, err = helper.run {
      helper.lunette, "import", "-e", "sqlite:" .. database, log,
    }
    assert.equal(0, code, err)
    engine = assert(lunette.open {
      events = "sqlite:" .. database,
      models = "sqlite:" .. database,
      query_limit_max = 100000,
    })
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
    assert.same({
      { type = "CommitMade", n = 2500 },
      { type = "FileChanged", n = 6069 },
    }, sql "SELECT type, count(*) AS n FROM events GROUP BY type ORDER BY type")
  end)

  it("has streams without holes, each commit followed by its files", function()
    assert.same({ { streams = 731, holes = 0 } }, sql [[
      SELECT count(*) AS streams, sum(last <> n) AS holes
      FROM (SELECT max(version) AS last, count(*) AS n FROM events
        GROUP BY stream)]])
    assert.same({ { unequal = 0 } }, sql [[
      SELECT count(*) AS unequal FROM events AS made
      WHERE type = 'CommitMade' AND data ->> 'files' <>
        (SELECT count(*) FROM events AS changed
          WHERE changed.position > made.position
            AND changed.position <= made.position + (made.data ->> 'files')
            AND changed.data ->> 'sha' = made.data ->> 'sha')]])
  end)

  it("gives the activity of each author and month as SQL counts it",
    function()
      local expected = sql(activity_sql)
      local rows = assert(engine:query("author_activity",
        { "order=id", "limit=100000" }))
      assert.equal(161, #expected)
      assert.same(expected, rows)
    end)

  it("gives the churn of each file as SQL counts it", function()
    local expected = sql(churn_sql)
    for _, row in ipairs(expected) do
      row.authors = lunette.decode(row.authors)
    end
    local rows = assert(engine:query("file_churn",
      { "order=id", "limit=100000" }))
    assert.equal(730, #expected)
    assert.same(expected, rows)
  end)

  it("shows the same rows to the sqlite3 shell", function()
    local rows = assert(engine:query("author_activity", { "order=id",
      "limit=100" }))
    assert.same(rows, sql "SELECT * FROM author_activity ORDER BY id LIMIT 100")
  end)

  -- Figures that were counted without SQL, and without Lunette.
  it("answers which month was the busiest", function()
    assert.same({ { author = "ea7f6d8ac9", month = "2012-04", commits = 107 } },
      engine:query("author_activity", {
        "order=commits.desc", "limit=1", "select=author,month,commits",
      }))
  end)

  it("answers which file changed most", function()
    assert.same({
      { id = "redis.c", changes = 606, churn = 36718, author_count = 19 },
      { id = "src/redis.c", changes = 274, churn = 6697, author_count = 12 },
    }, engine:query("file_churn", {
      "order=changes.desc", "limit=2", "select=id,changes,churn,author_count",
    }))
  end)

  it("counts every line that was added and deleted", function()
    assert.same({ { added = 224170, deleted = 100566, binary = 11 } }, sql [[
      SELECT sum(added) AS added, sum(deleted) AS deleted,
        sum(binary_changes) AS binary FROM file_churn]])
    assert.same({ { added = 224170, deleted = 100566 } }, sql [[
      SELECT sum(added) AS added, sum(deleted) AS deleted
      FROM author_activity]])
  end)
end)
