local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local pg_session = require "pg_session"
local workplace = require "spec.engine.cli.workplace"

local server, reason = postgres.start()

describe("lunette import into postgres #postgres", function()
  if not server then
    pending(reason)
    return
  end

  local place, database, session

  before_each(function()
    place = workplace.new()
    database = server:new_database()
    place:done { "append", "-e", database.url, "--stream", "s", "--type", "T",
      "--data", "1" }
    session = pg_session.open(database.url)
    -- The first batch stays in the middle of its writing for as long as the
    -- session wishes.
    session:run [[
      CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        PERFORM pg_advisory_xact_lock(1);
        RETURN new;
      END$$;
      CREATE TRIGGER hold BEFORE INSERT ON lunette_events FOR EACH ROW
      WHEN (new.type = 'Held') EXECUTE FUNCTION hold();
      SELECT pg_advisory_lock(1)]]
    local lines = { '{"stream":"h","type":"Held","data":1}\n' }
    for i = 2, 5000 do
      lines[i] = '{"stream":"s","type":"T","data":1}\n'
    end
    lines[5001] = '{"stream":"crossed","type":"T","data":1}\n'
    place:write("a.jsonl", table.concat(lines))
  end)

  after_each(function()
    session:close()
  end)

  -- Another transaction appends to "crossed" between two batches.
  local function cross(process)
    helper.wait(function()
      return session:run [[
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event = 'advisory']] == "1"
    end)
    session:run "SELECT lunette_append('crossed', 'T', '0')"
    session:run "SELECT pg_advisory_unlock(1)"
    return process:wait()
  end

  it("begins a file anew where another transaction came between", function()
    local import = helper.spawn({
      helper.lunette, "import", "-e", database.url, "a.jsonl",
    }, { cwd = place.folder })
    assert.equal(0, cross(import), import:stderr())
    assert.matches("5,001 events added", import:stdout())
    assert.equal("0,1", database:sql [[
      SELECT string_agg(data::text, ',' ORDER BY transaction_id)
      FROM lunette_events WHERE stream = 'crossed']])
  end)

  it("says so where it cannot read its input again", function()
    local import = helper.spawn({
      "/bin/sh", "-c", "cat a.jsonl | $0 import -e $1 -", helper.lunette,
      database.url,
    }, { cwd = place.folder })
    assert.is_true(cross(import) > 0)
    assert.matches("run the whole transaction again", import:stderr())
    assert.equal("2", database:sql "SELECT count(*) FROM lunette_events")
  end)
end)
