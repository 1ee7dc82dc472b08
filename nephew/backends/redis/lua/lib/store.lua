--! uses job, ends
-- Jobs come in: what `enqueue`, `settle` and `decide` have in common.
--
-- {name}:place      string  the last place that was given
-- {name}:kin:<id>   set     ids of the jobs that follow from a job or a chord; expires
-- {name}:related    string  there while there is any of these; expires
-- {name}:members:<chord>  set  ids of a chord's members; expires

-- The values of a job in ARGV: id, queue, priority, eta, unique key, expires at, parent, member, head and payload.
local VALUES = 9
-- Seconds that relations are kept.
local KIN = 30 * 86400

local function job_from(values, first)
    return {
        id = values[first], queue = values[first + 1], priority = values[first + 2], eta = values[first + 3],
        unique = values[first + 4], expires = values[first + 5], parent = values[first + 6],
        member = values[first + 7], body = values[first + 8],
    }
end

local function relate(word, whom, id)
    if whom ~= '' then
        try('SADD', key(word, whom), id)
        redis.call('EXPIRE', key(word, whom), KIN)
        redis.call('SET', key('related'), '1', 'EX', KIN)
    end
end

-- Which of these jobs are new; the replies of the others (an id, and whether it is another job's).
local function sort_out(jobs, again)
    local ids, fresh, replies, seen, keys = {}, {}, {}, {}, {}
    for i, job in ipairs(jobs) do
        ids[i] = job.id
    end
    local known = read(key('jobs'), ids)
    for i, job in ipairs(jobs) do
        local twin = job.unique ~= '' and (keys[job.unique] or redis.call('HGET', key('unique'), job.unique))
        local ended = known[i] and not seen[job.id] and ended_as(job.id)
        if twin then
            replies[i] = {twin, twin ~= job.id and 1 or 0}
        elseif again and (known[i] or end_of(job.id)) then
            replies[i] = {job.id, 0}
        elseif seen[job.id] or (known[i] and not ended) then
            replies[i] = {job.id, 0}
        else
            job.ended = ended
            fresh[#fresh + 1] = job
            replies[i] = {job.id, 0, 1}
            seen[job.id] = true
            if job.unique ~= '' then
                keys[job.unique] = job.id
            end
        end
    end
    return fresh, replies
end

-- Store jobs; for each its id or its twin's, whether that is a twin, and 1 if it was stored.
-- `again`: this may have been done before, and what was stored then may have ended since.
local function store(jobs, again)
    local fresh, replies = sort_out(jobs, again)
    if #fresh == 0 then
        return replies
    end
    local moment = now()
    -- The first write is one that a full server refuses: then nothing was written.
    local place = advance('place', #fresh) - #fresh
    local records, lines, scheduled = {}, {}, {}
    for i, job in ipairs(fresh) do
        if job.ended then
            drop_end(job.id)
            forget({job.id})
            redis.call('LREM', key('order'), -1, job.id)
        end
        records[2 * i - 1] = job.id
        records[2 * i] = string.format('%.0f', place + i) .. ' ' .. moment .. '\n' .. job.body
        if job.eta ~= '' and tonumber(job.eta) > tonumber(moment) then
            scheduled[#scheduled + 1] = job.eta
            scheduled[#scheduled + 1] = job.id
        else
            local line = lines[job.queue] or {}
            lines[job.queue] = line
            line[#line + 1] = -tonumber(job.priority)
            line[#line + 1] = ticket(place + i, job.id)
        end
    end
    for queue in pairs(lines) do
        redis.call('SADD', key('queues'), queue)
    end
    many('HSET', key('jobs'), records)
    for _, job in ipairs(fresh) do
        if job.unique ~= '' then
            redis.call('HSET', key('unique'), job.unique, job.id)
            try('HSET', key('keyof'), job.id, job.unique)
        end
        if job.expires ~= '' then
            try('ZADD', key('expiring'), job.expires, job.id)
        end
        relate('kin', job.parent, job.id)
        relate('members', job.member, job.id)
    end
    for queue, line in pairs(lines) do
        local added = many('ZADD', key('q', queue), line, try)
        if not added then
            for i = 2, #line, 2 do
                park(id_on(line[i]), key('q', queue))
            end
        elseif added == redis.call('ZCARD', key('q', queue)) then
            ring({queue})
        end
    end
    if #scheduled > 0 and many('ZADD', key('scheduled'), scheduled, try) then
        tell_schedule()
    else
        for i = 2, #scheduled, 2 do
            park(scheduled[i], key('scheduled'))
        end
    end
    return replies
end
