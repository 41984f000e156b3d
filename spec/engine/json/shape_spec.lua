-- Documents that differ in their values only: what is found of them by their
-- shape is what is found without it.

local helper = require "spec.helper"
local json = require "json_test"

local seed = helper.seed(1)
local values = {
  "0",
  "7",
  "-7",
  "-0",
  "1.5",
  "1e999",
  "123456789012345678",
  "1234567890123456789",
  "18446744073709551616",
  "true",
  "false",
  "null",
  '""',
  '"a"',
  '"quite some plain words, more than sixteen"',
  '"fifteen bytes.."',
  '"é and 😀 among the words of it"',
  '"an escape \\n at the end \\u00e9"',
  '"\\",\\"k2\\":1"',
  "[]",
  "{}",
  '[1, {"a": [2, "}"]}]',
  '{"a":{"b":{"a":1}},"c":"]"}',
}

local function document(form, list)
  local n = 0
  return (form:gsub("@", function()
    n = n + 1
    return (list[n]:gsub("%%", "%%%%"))
  end))
end

local forms = {
  '{"k":@}',
  '{"key": @, "k2": @, "k3": @}',
  ' {\t"a key of some length" : @ ,\n"k\\u00e9" : @ , "" :@ } ',
  '{"a":@,"b":@,"a much longer key than sixteen bytes":@,"d":@,"e":@}',
}

local function pick_values(random)
  local list = {}
  for i = 1, 5 do
    list[i] = random:pick(values)
  end
  return list
end

describe(("documents of one shape (seed %d)"):format(seed), function()
  local random

  before_each(function()
    random = helper.random(seed)
  end)

  it("have the members that are found without it", function()
    for _, form in ipairs(forms) do
      local learnt = document(form, pick_values(random))
      for _ = 1, 200 do
        local text = document(form, pick_values(random))
        local found = json.alike(learnt, text)
        assert.same(json.members(text), found, learnt .. "\n" .. text)
      end
    end
  end)

  it("are told from those that are not", function()
    local learnt = '{"key": 1, "k2": 2, "k3": 3}'
    for _, text in ipairs {
      "",
      "{",
      "{}",
      '{"key": 1, "k2": 2}',
      '{"key": 1, "k2": 2, "k3": 3',
      '{"key": 1, "k2": 2, "k3": 3} ',
      '{"key": 1, "k2": 2, "k3": 3, "k4": 4}',
      '{"key": 1, "k2": 2, "k4": 3}',
      '{"kez": 1, "k2": 2, "k3": 3}',
      '{"key":1, "k2": 2, "k3": 3}',
      '{"key": , "k2": 2, "k3": 3}',
      '{"key": x, "k2": 2, "k3": 3}',
      '{"key": 01, "k2": 2, "k3": 3}',
      '{"key": "1, "k2": 2, "k3": 3}',
      '{"key": [1, "k2": 2, "k3": 3}',
      '{"key": "\1", "k2": 2, "k3": 3}',
      '{"key": "\xff", "k2": 2, "k3": 3}',
      '{"key": {"a":1,"a":2}, "k2": 2, "k3": 3}',
      '{"key": ' .. ("["):rep(100) .. ("]"):rep(100) .. ', "k2": 2, "k3": 3}',
    } do
      assert.is_nil(json.alike(learnt, text), text)
    end
  end)

  it("are refused as they are without it, whatever is changed", function()
    for _ = 1, 3000 do
      local form = random:pick(forms)
      local learnt = document(form, pick_values(random))
      local text = document(form, pick_values(random))
      local at = random:within(1, #text)
      local byte = string.char(random:within(0, 255))
      text = text:sub(1, at - 1) .. byte .. text:sub(at + random:within(0, 1))
      local found = json.alike(learnt, text)
      if found then
        assert.same(json.members(text), found, learnt .. "\n" .. text)
      end
    end
  end)

  it("have no shape if they are large", function()
    local list = {}
    for i = 1, 24 do
      list[i] = ('"k%d":%d'):format(i, i)
    end
    local text = "{" .. table.concat(list, ",") .. "}"
    assert.same(json.members(text), json.alike(text, text))
    list[25] = '"k25":25'
    text = "{" .. table.concat(list, ",") .. "}"
    assert.is_nil(json.alike(text, text))
    for _, length in ipairs { 600, 700, 65536, 70000 } do
      text = ('{"%s":1}'):format(("k"):rep(length))
      assert.equal(length < 640, json.alike(text, text) ~= nil)
    end
    text = '{"k":"' .. ("v"):rep(70000) .. '"}'
    assert.same(json.members(text), json.alike('{"k":1}', text))
    assert.is_nil(json.alike("{}", "{}"))
  end)
end)
