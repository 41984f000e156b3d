local helper = require "spec.helper"
local values = require "values_test"

local parse, format = values.timestamp_parse, values.timestamp_format

describe("a deadline", function()
  it("is never where its moment is beyond the clock", function()
    for _, ms in ipairs { 0, -1, math.mininteger } do
      assert.is_true(values.deadline_ns(ms) < 1e9)
      assert.is_true(values.deadline_ns(ms) >= 0)
    end
    local hour = values.deadline_ns(3600000)
    assert.is_true(hour >= 3600 * 10 ^ 9 and hour < 3601 * 10 ^ 9)
    for _, ms in ipairs { math.maxinteger, math.maxinteger // 1000000 } do
      assert.equal("never", values.deadline_ns(ms))
    end
  end)
end)

describe("the age of a moment", function()
  it("is told of any number", function()
    local now = values.clocks()
    assert.is_true(values.age_us(now - 1000000) >= 1000000)
    assert.is_true(values.age_us(now - 1000000) < 60 * 1000000)
    assert.is_true(values.age_us(now + 3600 * 1000000) < 0)
    for _, moment in ipairs { math.mininteger, -(1 << 62) - (1 << 62) + 1 } do
      assert.equal(math.maxinteger, values.age_us(moment))
    end
    assert.is_true(values.age_us(math.maxinteger) < -(1 << 62))
  end)
end)

describe("a timestamp", function()
  it("is written in 27 bytes", function()
    for us, text in pairs {
      [0] = "1970-01-01T00:00:00.000000Z",
      [1] = "1970-01-01T00:00:00.000001Z",
      [-1] = "1969-12-31T23:59:59.999999Z",
      [1795411978123456] = "2026-11-23T05:32:58.123456Z",
      [951782400000000] = "2000-02-29T00:00:00.000000Z",
      [-62135596800000000] = "0001-01-01T00:00:00.000000Z",
      [253402300799999999] = "9999-12-31T23:59:59.999999Z",
    } do
      assert.equal(text, format(us))
      assert.equal(us, parse(text))
    end
  end)

  it("survives writing and reading all over the calendar", function()
    local day = 86400 * 1000000
    for us = -62135596800000000, 253402300799999999, 997 * day + 12345678901 do
      assert.equal(us, parse(format(us)))
    end
  end)

  it("sorts as its text does", function()
    local last = format(-62135596800000000)
    for us = -62135596800000000 + 1, 253402300799999999, 7919 * 86400000001 do
      local text = format(us)
      assert.is_true(last < text)
      last = text
    end
  end)

  it("is read in every form of RFC 3339", function()
    local moment = parse "2026-11-23T05:32:58Z"
    for _, text in ipairs {
      "2026-11-23t05:32:58z", "2026-11-23 05:32:58Z",
      "2026-11-23T05:32:58.0Z", "2026-11-23T05:32:58.000000000Z",
      "2026-11-23T07:32:58+02:00", "2026-11-23T07:32:58+0200",
      "2026-11-22T21:02:58-08:30", "2026-11-23T05:32:58-00:00",
    } do
      assert.equal(moment, parse(text), text)
    end
    assert.equal(moment + 120000, parse "2026-11-23T05:32:58.12Z")
    assert.equal(moment + 123456, parse "2026-11-23T05:32:58.1234569Z")
  end)

  it("is read from columns of text, in UTC where they do not say", function()
    local moment = parse "2026-11-23T05:32:58Z"
    for text, us in pairs {
      ["2026-11-23T05:32:58Z"] = moment,
      ["2026-11-23 05:32:58"] = moment,
      ["2026-11-23 05:32:58   "] = moment,
      ["2026-11-23 07:32:58+02"] = moment,
      ["2026-11-23 07:32:58.5+02:00"] = moment + 500000,
      ["2026-11-23T05:32:58.123456789Z"] = moment + 123456,
      ["2026-11-23"] = parse "2026-11-23T00:00:00Z",
      ["infinity"] = math.maxinteger,
      ["-infinity"] = math.mininteger + 1,
    } do
      assert.equal(us, values.timestamp_of_text(text), text)
    end
    for _, text in ipairs {
      "", " ", "now", "2026-11-23T", "2026-11-23 05:32", "23.11.2026",
      "11/23/2026", "2026-11-23 05:32:58 BC", "2026-11-23 05:32:58 Europe/Rome",
      "2026-11-23 05:32:58+", "2026-11-23 05:32:58+2", "1795411978",
      "2026-11-23 05:32:58+02:", "10000-01-01", "-0001-01-01", "0000-01-01",
      "0001-01-01 00:00:00+02", "Infinity", "+infinity",
    } do
      assert.is_nil(values.timestamp_of_text(text), text)
    end
  end)

  it("is not read from anything else", function()
    for _, text in ipairs {
      "", "2026-11-23", "2026-11-23T05:32:58", "2026-11-23T05:32Z",
      "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z",
      "2100-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-01-00T00:00:00Z",
      "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z",
      "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+24:00",
      "2026-01-01T00:00:00+2", "2026-01-01T00:00:00ZZ",
      "26-01-01T00:00:00Z", "0000-01-01T00:00:00Z",
      "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
      "2026-01-01T00:00:00Z ", "2026-01-01T00:00:00Z\0", "+026-01-01T00:00:00Z",
    } do
      assert.is_nil(parse(text), text)
    end
  end)

  it("knows the days of every month", function()
    for year, february in pairs { [1900] = 28, [2000] = 29, [2023] = 28,
      [2024] = 29 } do
      local lengths = { 31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
      for month = 0, 13 do
        for day = 0, 32 do
          local text = ("%d-%02d-%02dT00:00:00.000000Z"):format(year, month,
            day)
          local us = parse(text)
          if day >= 1 and day <= (lengths[month] or 0) then
            assert.equal(text, format(us))
          else
            assert.is_nil(us, text)
          end
        end
      end
    end
  end)

  -- The C library counts leap seconds there, and shifts every moment.
  it("is the same in a time zone with leap seconds", function()
    local folder = helper.tmpdir()
    local rules = helper.write_file(folder .. "/rules", "Zone Leap 0 - UTC\n")
    local leaps = helper.write_file(folder .. "/leaps",
      "Leap 2016 Dec 31 23:59:60 + S\n")
    assert.equal(0, (helper.run { "/usr/sbin/zic", "-d", folder, "-L", leaps,
      rules }))
    local _, out, err = helper.run({ "lua5.4", "-e", [[
      local values = require "values_test"
      local us = values.timestamp_parse "2026-11-23T05:32:58Z"
      print(values.timestamp_format(us), us)
      print(os.date("!%X", 1795411978))]] }, { env = {
      TZ = ":" .. folder .. "/Leap", LUA_CPATH = package.cpath,
    } })
    assert.equal("2026-11-23T05:32:58.000000Z\t1795411978000000\n"
      .. "05:32:57\n", out, err)
  end)
end)

describe("the clocks", function()
  it("run forwards, and the wall clock as os.time does", function()
    local wall, mono, thread = values.clocks()
    assert.is_true(math.abs(wall // 1000000 - os.time()) < 5)
    local sum = 0
    for i = 1, 100000 do
      sum = sum + i
    end
    local _, later, busier = values.clocks()
    assert.is_true(later > mono)
    assert.is_true(busier > thread)
  end)
end)
